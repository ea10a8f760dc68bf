/** Acknowledgements on their way: everything that settles in one tick goes out in one write. */
export class Acks<T> {
  #batch: T[] = [];
  #next: Promise<void> | undefined;
  readonly #open = new Set<Promise<void>>();
  readonly #send: (batch: readonly T[]) => Promise<void>;

  /** `send` resolves when the server has been told, and never rejects. */
  constructor(send: (batch: readonly T[]) => Promise<void>) {
    this.#send = send;
  }

  /** Resolves when the server has been told. */
  add(one: T): Promise<void> {
    this.#batch.push(one);
    return (this.#next ??= this.#sendNext());
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#open);
  }

  #sendNext(): Promise<void> {
    const sent = new Promise<void>((resolve) => {
      process.nextTick(() => {
        const batch = this.#batch;
        this.#batch = [];
        this.#next = undefined;
        void this.#send(batch).then(() => {
          this.#open.delete(sent);
          resolve();
        });
      });
    });
    this.#open.add(sent);
    return sent;
  }
}
