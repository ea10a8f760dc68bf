/** A streamed answer. The call is made when the first item is read. */
export class LazyStream implements AsyncIterableIterator<unknown, undefined> {
  readonly #open: () => Promise<AsyncIterator<unknown, undefined>>;
  readonly #errorOf: ((error: unknown) => Promise<unknown>) | undefined;
  #stream: Promise<AsyncIterator<unknown, undefined>> | undefined;

  /** Reading rejects with what `errorOf` makes of an error. */
  constructor(
    open: () => Promise<AsyncIterator<unknown, undefined>>,
    errorOf?: (error: unknown) => Promise<unknown>,
  ) {
    this.#open = open;
    this.#errorOf = errorOf;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    try {
      const stream = await (this.#stream ??= this.#open());
      return await stream.next();
    } catch (error) {
      throw this.#errorOf === undefined ? error : await this.#errorOf(error);
    }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    await (await this.#stream)?.return?.();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
