import type { Dependency, MessageContext } from '../api/context.ts';
import type { Injections } from '../api/inject.ts';
import type { HandlerFunction } from '../api/middleware.ts';
import { SetupError } from '../errors.ts';
import { promiseIn } from '../internal/promises.ts';

/** Functions that stand in for others: `broker.override`. */
export type Overrides = ReadonlyMap<Dependency, Dependency>;

type Maker = Generator | AsyncGenerator;

/** What one message's handler has asked for: made once, in order, and cleaned up in the opposite order. */
export class Dependencies {
  readonly #overrides: Overrides;
  readonly #values = new Map<Dependency, unknown>();
  /** Generators that have yielded and are to go on. */
  readonly #open: Maker[] = [];
  /** Those that are being made now: one that asks for itself again is found here. */
  readonly #making = new Set<Dependency>();

  constructor(overrides: Overrides) {
    this.#overrides = overrides;
  }

  /** The value, or a promise of it where making it takes time. */
  resolve(dependency: Dependency, context: MessageContext): unknown {
    if (this.#values.has(dependency)) return this.#values.get(dependency);
    if (this.#making.has(dependency))
      throw new SetupError(`inject: '${dependency.name}' needs itself`);
    this.#making.add(dependency);
    try {
      const value = this.#make(dependency, context);
      this.#values.set(dependency, value);
      return value;
    } finally {
      this.#making.delete(dependency);
    }
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
    const made = (this.#overrides.get(dependency) ?? dependency)(context);
    if (!isMaker(made)) return promiseIn(made) ?? made;
    const first = made.next();
    return first instanceof Promise
      ? first.then((step) => this.#opened(made, step, dependency))
      : this.#opened(made, first, dependency);
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
