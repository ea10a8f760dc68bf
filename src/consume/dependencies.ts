import { SetupError } from '../errors.ts';

type Make<Context> = (ctx: Context) => unknown;

/** Functions that stand in for others. */
export type Overrides<Context> = ReadonlyMap<Make<Context>, Make<Context>>;

type Maker = Generator | AsyncGenerator;

/** What one message's handler has asked for: made once, in turn, and cleaned up in the opposite order. */
export class Dependencies<Context> {
  readonly #overrides: Overrides<Context>;
  readonly #values = new Map<Make<Context>, unknown>();
  readonly #open: Maker[] = [];
  /** Those that are being made at this moment, and ask for others. */
  readonly #making = new Set<Make<Context>>();

  constructor(overrides: Overrides<Context>) {
    this.#overrides = overrides;
  }

  /** The value, or a promise of it where making it takes time. */
  resolve(dependency: Make<Context>, context: Context): unknown {
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

  /** Lets the generators go on, the last first. Resolves with the error that is the handler's in the end, wrapped. */
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

  #make(dependency: Make<Context>, context: Context): unknown {
    const made = (this.#overrides.get(dependency) ?? dependency)(context);
    if (!isMaker(made)) return made;
    const first = made.next();
    return first instanceof Promise
      ? first.then((step) => this.#opened(made, step, dependency))
      : this.#opened(made, first, dependency);
  }

  #opened(maker: Maker, step: IteratorResult<unknown>, { name }: Make<Context>): unknown {
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
