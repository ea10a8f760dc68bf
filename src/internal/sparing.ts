/**
 * Counts what may happen for every message of a stranger, so that it is logged the first, second,
 * fourth, eighth … time and not every time.
 */
export class Sparing {
  #count = 0;

  /** Counts once more. Returns what to add to the log line; undefined where none is to be written. */
  next(): string | undefined {
    const count = ++this.#count;
    if (count === 1) return '';
    return Number.isInteger(Math.log2(count)) ? ` (${count} times so far)` : undefined;
  }
}
