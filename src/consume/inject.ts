import type { Dependency, MessageContext } from '../api/context.ts';
import type { Injections } from '../api/inject.ts';
import type { HandlerFunction } from '../api/middleware.ts';
import { SetupError } from '../errors.ts';
import { promiseIn } from '../internal/promises.ts';

/** Functions that stand in for others: `broker.override`. */
export type Overrides = ReadonlyMap<Dependency, Dependency>;

/** Has `replacement` be used in the place of `dependency`, until the result is disposed of. */
export function replaceIn(
  overrides: Map<Dependency, Dependency>,
  dependency: Dependency,
  replacement: Dependency,
): Disposable {
  const before = overrides.get(dependency);
  overrides.set(dependency, replacement);
  return {
    [Symbol.dispose]: () => {
      if (before === undefined) overrides.delete(dependency);
      else overrides.set(dependency, before);
    },
  };
}

type Maker = Generator | AsyncGenerator;

/** What one message's handler has asked for: made once, in order, and cleaned up in the opposite order. */
export class Dependencies {
  readonly #overrides: Overrides;
  readonly #values = new Map<Dependency, unknown>();
  /** Generators that have yielded and are to go on. */
  readonly #open: Maker[] = [];
  /** Those that are not made yet, and what each has asked for: one that needs itself is found here. */
  readonly #making = new Map<Dependency, Set<Dependency>>();

  constructor(overrides: Overrides) {
    this.#overrides = overrides;
  }

  /** The value, or a promise of it where making it takes time. */
  resolve(dependency: Dependency, context: MessageContext, asker?: Dependency): unknown {
    // One that asks itself, or one that waits for it, would wait for ever.
    const isAsked = this.#making.has(dependency) && !this.#values.has(dependency);
    if (isAsked || (asker !== undefined && this.#waitsFor(dependency, asker)))
      throw new SetupError(`inject: '${dependency.name}' needs itself`);
    if (asker !== undefined) this.#making.get(asker)?.add(dependency);
    if (this.#values.has(dependency)) return this.#values.get(dependency);
    this.#making.set(dependency, new Set());
    const made = (): void => void this.#making.delete(dependency);
    try {
      const value = this.#make(dependency, context);
      this.#values.set(dependency, value);
      if (value instanceof Promise) value.then(made, made);
      else made();
      return value;
    } catch (error) {
      made();
      throw error;
    }
  }

  /** Whether `dependency` is not made yet, and needs `other` for it, at once or through others. */
  #waitsFor(dependency: Dependency, other: Dependency): boolean {
    const needs = this.#making.get(dependency);
    if (needs === undefined) return false;
    if (dependency === other) return true;
    return [...needs].some((next) => this.#waitsFor(next, other));
  }

  /** Lets the generators go on, the last first. Resolves with the error that the handler ends with, wrapped; undefined where there is none. */
  async release(failure: { error: unknown } | undefined): Promise<{ error: unknown } | undefined> {
    await Promise.allSettled(this.#values.values());
    let last = failure;
    for (const maker of this.#open.toReversed()) {
      try {
        const { done } = await (last === undefined ? maker.next() : maker.throw(last.error));
        if (done !== true) {
          await maker.return(undefined);
          throw new SetupError('inject: a generator must yield once, this one yielded again');
        }
      } catch (error) {
        last = { error };
      }
    }
    return last;
  }

  /** A value, or a real promise of it: whoever reads it need not ask for other thenables. */
  #make(dependency: Dependency, context: MessageContext): unknown {
    const make = this.#overrides.get(dependency) ?? dependency;
    const made = make(make.length === 0 ? context : this.#asking(dependency, context));
    if (!isMaker(made)) return promiseIn(made) ?? made;
    const first = made.next();
    return first instanceof Promise
      ? first.then((step) => this.#opened(made, step, dependency))
      : this.#opened(made, first, dependency);
  }

  /** The context as a dependency sees it: the same, and what it resolves is known to be needed by it. */
  #asking(asker: Dependency, context: MessageContext): MessageContext {
    const resolve = async (wanted: Dependency): Promise<unknown> =>
      this.resolve(wanted, context, asker);
    return new Proxy(context, {
      get: (target, key) => {
        if (key === 'resolve') return resolve;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value as HandlerFunction).bind(target) : value;
      },
      set: (target, key, value) => Reflect.set(target, key, value, target),
    });
  }

  #opened(maker: Maker, step: IteratorResult<unknown>, { name }: Dependency): unknown {
    if (step.done === true) throw new SetupError(`inject: the generator '${name}' yielded nothing`);
    this.#open.push(maker);
    return step.value;
  }
}

function isMaker(value: unknown): value is Maker {
  const maker = value as Partial<Maker> | null | undefined;
  return (
    typeof maker?.next === 'function' &&
    typeof maker.throw === 'function' &&
    typeof maker.return === 'function'
  );
}

/** A context that makes dependencies without a promise where none is needed. */
interface InjectedContext extends MessageContext {
  need(dependency: Dependency): unknown;
}

/** The handler, called with its dependencies in `ctx.state`. */
export function injecting(
  inject: Injections | undefined,
  handler: HandlerFunction,
): HandlerFunction {
  const wanted = Object.entries(inject ?? {});
  if (wanted.length === 0) return handler;
  return (body, ctx) => {
    // Every context that reaches a handler is a HandlerContext.
    const later = fill(ctx as InjectedContext, wanted, 0);
    return later === undefined ? handler(body, ctx) : later.then(() => handler(body, ctx));
  };
}

/** One after the other, so that the later ones find what the earlier ones made. */
function fill(
  ctx: InjectedContext,
  wanted: readonly (readonly [string, Dependency])[],
  from: number,
): Promise<void> | undefined {
  for (let i = from; i < wanted.length; i++) {
    const [name, dependency] = wanted[i] as readonly [string, Dependency];
    const value = ctx.need(dependency);
    if (value instanceof Promise) {
      return value.then((made: unknown) => {
        ctx.state[name] = made;
        return fill(ctx, wanted, i + 1);
      });
    }
    ctx.state[name] = value;
  }
  return undefined;
}

/** The items as they come, and after the last, or where somebody leaves early, the cleaning up. */
export async function* releasing(
  items: AsyncIterable<unknown>,
  dependencies: Dependencies,
): AsyncGenerator<unknown, void> {
  let failure: { error: unknown } | undefined;
  try {
    yield* items;
  } catch (error) {
    failure = { error };
  } finally {
    failure = await dependencies.release(failure);
  }
  if (failure !== undefined) throw failure.error;
}
