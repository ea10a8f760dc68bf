/** A stream whose call is made when its first item is asked for. */
export class LateStream implements AsyncIterableIterator<never, undefined> {
  readonly #open: () => Promise<AsyncIterator<unknown, undefined>>;
  #stream: Promise<AsyncIterator<unknown, undefined>> | undefined;

  constructor(open: () => Promise<AsyncIterator<unknown, undefined>>) {
    this.#open = open;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<never, undefined>> {
    const stream = await (this.#stream ??= this.#open());
    return (await stream.next()) as IteratorResult<never, undefined>;
  }

  async return(): Promise<IteratorResult<never, undefined>> {
    await (await this.#stream)?.return?.();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
