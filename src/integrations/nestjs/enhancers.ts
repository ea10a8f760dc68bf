/** Runs a handler as Nest runs a controller's method: guards, interceptors, pipes, filters, request scope. */
import 'reflect-metadata';
import { Logger, type ArgumentsHost } from '@nestjs/common';
import {
  ContextIdFactory,
  ModuleRef,
  type ApplicationConfig,
  type ExternalContextCreator,
} from '@nestjs/core';
import type { MessageContext } from '../../index.ts';
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

/** Whether a guard, interceptor, pipe or filter runs for a message, and not for an HTTP request or another transport. */
export function isRedstartContext(host: ArgumentsHost): boolean {
  return host.getType<string>() === CONTEXT_TYPE;
}

/** The context of the message that a guard, interceptor, pipe or filter runs for. */
export function getMessageContext(host: ArgumentsHost): MessageContext {
  return host.getArgByIndex<MessageContext>(1);
}

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
    const enhances = this.#enhances(found, method);
    if (!isScoped)
      return this.#explaining(found, this.#enhance(wrapper.instance as object, found, method));
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
      if (!enhances) return methodOf(instance, method).call(instance, body, ctx);
      return this.#enhance(instance, found, method, contextId)(body, ctx);
    };
    return this.#explaining(found, handle);
  }

  /** The method with everything that Nest runs around it. */
  #enhance(
    instance: object,
    found: Found,
    method: string | symbol,
    contextId?: ContextId,
  ): Handler {
    const { wrapper } = found;
    const takesParameters = this.#pipes(found, method);
    const callback = methodOf(instance, method);
    if (takesParameters) completeParameters(found.type, method, callback.length);
    return this.#creator.create(
      instance,
      callback as (...args: unknown[]) => unknown,
      method as string,
      takesParameters ? PARAMETERS_KEY : undefined,
      takesParameters ? parameters : undefined,
      contextId,
      contextId === undefined ? undefined : wrapper.id,
      // Without filters Nest would only log what redstart logs, too.
      { guards: true, interceptors: true, filters: this.#filters(found, method) },
      CONTEXT_TYPE,
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

function has(key: string, { type }: Found, method: string | symbol): boolean {
  const handler = (type.prototype as Readonly<Record<string | symbol, object>>)[method] as object;
  return Reflect.hasMetadata(key, type) || Reflect.hasMetadata(key, handler);
}

function methodOf(instance: object, method: string | symbol): Method {
  return (instance as Readonly<Record<string | symbol, Method>>)[method] as Method;
}

function bound(instance: object, method: string | symbol): Method {
  return methodOf(instance, method).bind(instance);
}

/** Of the module that a provider is in: it knows the provider and what that needs. */
function moduleRefOf({ host }: Wrapper): ModuleRef {
  return host?.providers.get(ModuleRef)?.instance as ModuleRef;
}
