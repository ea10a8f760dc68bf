/** A streamed answer. The call is made when the first item is read. */
export class LazyStream implements AsyncIterableIterator<unknown, undefined> {
  readonly #open: () => Promise<AsyncIterator<unknown, undefined>>;
  #stream: Promise<AsyncIterator<unknown, undefined>> | undefined;

  constructor(open: () => Promise<AsyncIterator<unknown, undefined>>) {
    this.#open = open;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const stream = await (this.#stream ??= this.#open());
    return stream.next();
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    await (await this.#stream)?.return?.();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
