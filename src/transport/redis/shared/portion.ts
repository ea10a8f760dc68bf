/** Bytes that one read should bring at most: what it brings keeps the connection from others. */
const MOST = 1_048_576;

/** Messages in a read while it is not known how large they are. */
const FIRST = 16;

/** How many messages to read at once, by the size of those that came last. */
export class Portion {
  #max = FIRST;

  of(wanted: number): number {
    return Math.min(wanted, this.#max);
  }

  /** Takes the reply to a read of one list, `[key, items]`, or of one stream, `[[key, entries]]`, or of one item. Returns how many messages it has. */
  learn(reply: unknown): number {
    if (Buffer.isBuffer(reply)) return 1;
    const [head, tail] = reply as [unknown, unknown];
    const messages = Array.isArray(head) ? (head[1] as unknown) : tail;
    const count = Array.isArray(messages) ? Math.max(1, messages.length) : 1;
    this.#max = Math.max(1, Math.floor((MOST * count) / Math.max(1, bytesIn(messages))));
    return count;
  }
}

function bytesIn(part: unknown): number {
  if (!Array.isArray(part)) return Buffer.isBuffer(part) ? part.length : 0;
  let bytes = 0;
  for (const one of part) bytes += bytesIn(one);
  return bytes;
}
