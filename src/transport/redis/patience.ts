/** Milliseconds that a link is given for a byte where nothing else is known of it: 1 MB/s. */
const USUAL = 1 / 1_000;
/** The most: about 16 kB/s. */
const MOST = 64 * USUAL;
/** So many bytes must have been on their way for their time to tell something about the link. */
const TELLING = 16_384;

/**
 * How long bytes may be on their way that cannot be watched, in the buffers of the system and of the network. A
 * connection that was given up with many of them may have been slow and not dead: the next one has twice the time,
 * so that the same bytes arrive in the end, however slow the link is.
 */
export class Patience {
  #perByte = USUAL;

  /** Milliseconds that so many bytes are given. */
  with(bytes: number): number {
    return bytes * this.#perByte;
  }

  /** With so many bytes on its way a connection was given up. */
  gaveUp(bytes: number): void {
    if (bytes >= TELLING) this.#perByte = Math.min(2 * this.#perByte, MOST);
  }

  /** What was sent behind so many bytes was answered after so many milliseconds: no more than twice the time is needed. */
  answered(bytes: number, ms: number): void {
    if (bytes < TELLING) return;
    this.#perByte = Math.min(this.#perByte, Math.max(USUAL, (2 * ms) / bytes));
  }
}
