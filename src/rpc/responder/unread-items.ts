/**
 * The items of one stream that are on their way to its caller or unread there. Redis cuts off a subscriber for which
 * more than 32 MB wait, so that large items wait here: a window of items alone does not limit their bytes.
 */
export class UnreadItems {
  /** Undefined for a caller that grants items and no bytes: of an earlier version. */
  readonly #max: number | undefined;
  /** Bytes of each item that was sent and not credited, in order. */
  readonly #sizes: number[] = [];
  #bytes = 0;
  #credited = 0;

  /** `max`: bytes of them that the caller allows before the next item is sent. */
  constructor(max: number | undefined) {
    this.#max = max;
  }

  /** Whether the next item has to wait. One is always allowed, however large. */
  get areTooLarge(): boolean {
    return this.#max !== undefined && this.#bytes > 0 && this.#bytes >= this.#max;
  }

  add(bytes: number): void {
    if (this.#max === undefined) return;
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** The caller has taken so many items since the beginning. */
  credit(items: number): void {
    for (; this.#credited < items && this.#sizes.length > 0; this.#credited++)
      this.#bytes -= this.#sizes.shift() as number;
  }
}
