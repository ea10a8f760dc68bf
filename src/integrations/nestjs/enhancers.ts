/** Runs a handler as Nest runs a controller's method: guards, interceptors, pipes, filters, request scope. */
import 'reflect-metadata';
import { Logger, type ArgumentsHost } from '@nestjs/common';
import {
  ContextIdFactory,
  ExternalContextCreator,
  ModuleRef,
  type ApplicationConfig,
} from '@nestjs/core';
import { SetupError, type MessageContext } from '../../index.ts';
import type { Found, Wrapper } from './discovery.ts';
import { PARAMETERS_KEY, completeParameters, hasParameters, parameters } from './parameters.ts';

/** The context type of messages: `host.getType()`. */
export const CONTEXT_TYPE = 'redstart';

// Where Nest keeps what @UseGuards and its like are given, on the class or the method.
const GUARDS = '__guards__';
const INTERCEPTORS = '__interceptors__';
const PIPES = '__pipes__';
const FILTERS = '__exceptionFilters__';

/** Nest's text where a guard returns false. */
const REFUSED = 'Forbidden resource';

type Method = (this: object, body: unknown, ctx: MessageContext) => unknown;
type Handler = (body: unknown, ctx: MessageContext) => unknown;
type ContextId = ReturnType<typeof ContextIdFactory.create>;
/** Makes a handler of an instance, which may be there for one message alone. */
type Enhance = (instance: object, contextId?: ContextId) => Handler;

/** Whether a guard, interceptor, pipe or filter runs for a message, and not for an HTTP request or another transport. */
export function isRedstartContext(host: ArgumentsHost): boolean {
  return host.getType<string>() === CONTEXT_TYPE;
}

/** The context of the message that a guard, interceptor, pipe or filter runs for. */
export function getMessageContext(host: ArgumentsHost): MessageContext {
  return host.getArgByIndex<MessageContext>(1);
}

/** What is used of Nest's creator beside its public method: test/nest holds it to each version. */
type Creator = Pick<ExternalContextCreator, 'create'> & {
  getContextModuleKey(): string;
  getHostModuleKey(): string;
  readonly guardsContextCreator: {
    create(...args: [object, unknown, string, undefined, string]): readonly unknown[];
  };
};

/** Makes the handlers of one app. */
export class Enhancers {
  readonly #creator: ExternalContextCreator;
  readonly #config: ApplicationConfig;
  /** Enhancers for the whole app that are made for each message. */
  readonly #scoped: readonly Wrapper[];

  constructor(creator: ExternalContextCreator) {
    this.#creator = creator;
    // Nest has no public way to what `app.useGlobalGuards` and APP_GUARD have set.
    this.#config = (
      creator as unknown as { container: { applicationConfig: ApplicationConfig } }
    ).container.applicationConfig;
    this.#scoped = [
      ...this.#config.getGlobalRequestGuards(),
      ...this.#config.getGlobalRequestInterceptors(),
      ...this.#config.getGlobalRequestPipes(),
      ...this.#config.getGlobalRequestFilters(),
    ];
  }

  /** What is to be registered of a provider: its instance where Nest does nothing around its methods. */
  register(found: Found): object {
    const { wrapper, type, methods } = found;
    refuseTransient(found);
    const isScoped = this.#scoped.length > 0 || !wrapper.isDependencyTreeStatic();
    const plain = methods.filter((method) => !isScoped && !this.#enhances(found, method));
    const instance = wrapper.instance as object;
    if (plain.length === methods.length) return instance;
    const handlers = methods.map((method): [string | symbol, PropertyDescriptor] => [
      method,
      {
        value: plain.includes(method)
          ? bound(instance, method)
          : this.#handler(found, method, isScoped),
      },
    ]);
    // One that is made for each message has no instance yet.
    const base = isScoped ? (type.prototype as object) : instance;
    return Object.create(base, Object.fromEntries(handlers)) as object;
  }

  #handler(found: Found, method: string | symbol, isScoped: boolean): Handler {
    const { wrapper, type } = found;
    const enhance: Enhance = this.#enhances(found, method)
      ? this.#enhancing(found, method)
      : (instance) => bound(instance, method);
    if (!isScoped) return this.#explaining(found, enhance(wrapper.instance as object));
    const moduleRef = moduleRefOf(wrapper);
    const scoped = this.#scoped.map((one) => ({ token: one.token, moduleRef: moduleRefOf(one) }));
    const isStatic = wrapper.isDependencyTreeStatic();
    const handle = async (body: unknown, ctx: MessageContext): Promise<unknown> => {
      const contextId = ContextIdFactory.getByRequest(ctx);
      const request = wrapper.isDependencyTreeDurable()
        ? (contextId as { payload?: unknown }).payload
        : ctx;
      moduleRef.registerRequestByContextId(request, contextId);
      // Before the handler: Nest skips an enhancer that does not exist for this message.
      for (const one of scoped) await one.moduleRef.resolve(one.token, contextId, { strict: true });
      const instance = isStatic
        ? (wrapper.instance as object)
        : await moduleRef.resolve<object>(wrapper.token as typeof type, contextId, {
            strict: true,
          });
      return enhance(instance, contextId)(body, ctx);
    };
    return this.#explaining(found, handle);
  }

  /** Gives the method of an instance with everything that Nest runs around it. */
  #enhancing(found: Found, method: string | symbol): Enhance {
    const { wrapper, type } = found;
    const creator = this.#creatorIn(wrapper);
    this.#checkGuards(creator, found, method);
    const takesParameters = this.#pipes(found, method);
    const { length } = methodOf(type.prototype as object, method);
    if (takesParameters) completeParameters(type, method, length);
    const filters = this.#filters(found, method);
    return (instance, contextId) =>
      creator.create(
        instance,
        methodOf(instance, method) as (...args: unknown[]) => unknown,
        method as string,
        takesParameters ? PARAMETERS_KEY : undefined,
        takesParameters ? parameters : undefined,
        contextId,
        // A transient guard has an instance for each class that it guards.
        wrapper.id,
        // Without filters Nest would only log what redstart logs, too.
        { guards: true, interceptors: true, filters },
        CONTEXT_TYPE,
      );
  }

  /**
   * The creator for handlers of one provider or controller. Nest looks for the enhancers in the module that has the
   * class as a provider. It finds none for a controller, and then skips its guards without a word.
   */
  #creatorIn({ host }: Wrapper): Creator {
    const creator = Object.create(this.#creator) as Creator;
    creator.getContextModuleKey = creator.getHostModuleKey = () => host?.token ?? '';
    return creator;
  }

  /** A guard that Nest does not find must not let everything pass. */
  #checkGuards(creator: Creator, found: Found, method: string | symbol): void {
    const prototype = found.type.prototype as object;
    const callback = methodOf(prototype, method);
    const key = creator.getContextModuleKey();
    // Nest 11 looks for the class behind the prototype of what it is given.
    const instance = Object.create(prototype) as object;
    const guards = creator.guardsContextCreator.create(
      ...[instance, callback, key, undefined, found.wrapper.id],
    );
    const own = [found.type, callback].map(
      (target) => (Reflect.getMetadata(GUARDS, target) as unknown[] | undefined) ?? [],
    );
    if (guards.length >= own.flat().length + this.#config.getGlobalGuards().length) return;
    throw new SetupError(
      `redstart/nestjs: Nest has not found every guard of ${found.type.name}.${String(method)}: this version of Nest is not supported`,
    );
  }

  #enhances(found: Found, method: string | symbol): boolean {
    return (
      has(GUARDS, found, method) ||
      has(INTERCEPTORS, found, method) ||
      this.#hasGlobalGuards ||
      this.#config.getGlobalInterceptors().length > 0 ||
      this.#config.getGlobalRequestInterceptors().length > 0 ||
      this.#pipes(found, method) ||
      this.#filters(found, method)
    );
  }

  #pipes(found: Found, method: string | symbol): boolean {
    return (
      has(PIPES, found, method) ||
      hasParameters(found.type, method) ||
      this.#config.getGlobalPipes().length > 0 ||
      this.#config.getGlobalRequestPipes().length > 0
    );
  }

  #filters(found: Found, method: string | symbol): boolean {
    return (
      has(FILTERS, found, method) ||
      this.#config.getGlobalFilters().length > 0 ||
      this.#config.getGlobalRequestFilters().length > 0
    );
  }

  get #hasGlobalGuards(): boolean {
    return (
      this.#config.getGlobalGuards().length > 0 || this.#config.getGlobalRequestGuards().length > 0
    );
  }

  /** Says once where a refusal may come from: a global guard that was written for HTTP refuses every message. */
  #explaining({ type }: Found, handle: Handler): Handler {
    if (!this.#hasGlobalGuards) return handle;
    let isSaid = false;
    return async (body, ctx) => {
      try {
        return await handle(body, ctx);
      } catch (error) {
        if (!isSaid && (error as Error | undefined)?.message === REFUSED) {
          isSaid = true;
          new Logger('Redstart').warn(
            `a guard refused a message for ${type.name}; the guards of the whole app run for messages, too: isRedstartContext(context) tells them from HTTP requests`,
          );
        }
        throw error;
      }
    };
  }
}

/** Nest 11 gives a transient guard and its like nothing that they inject. */
function refuseTransient({ wrapper, type }: Found): void {
  if ('getHostModuleKey' in ExternalContextCreator.prototype) return; // Nest 12
  const enhancers = wrapper.getEnhancersMetadata() as readonly Wrapper[] | undefined;
  if (enhancers?.some(({ isTransient }) => isTransient) !== true) return;
  throw new SetupError(
    `redstart/nestjs: a guard, interceptor, pipe or filter of ${type.name} is transient, which needs Nest 12: give it another scope`,
  );
}

function has(key: string, { type }: Found, method: string | symbol): boolean {
  const handler = (type.prototype as Readonly<Record<string | symbol, object>>)[method] as object;
  return Reflect.hasMetadata(key, type) || Reflect.hasMetadata(key, handler);
}

function methodOf(instance: object, method: string | symbol): Method {
  return (instance as Readonly<Record<string | symbol, Method>>)[method] as Method;
}

function bound(instance: object, method: string | symbol): Handler {
  return methodOf(instance, method).bind(instance);
}

/** Of the module that a provider is in: it knows the provider and what that needs. */
function moduleRefOf({ host }: Wrapper): ModuleRef {
  return host?.providers.get(ModuleRef)?.instance as ModuleRef;
}
