import type { Redis } from 'ioredis';

/** What Node counts beneath a socket; it has no public name. Where a runtime has none, what leaves is not seen. */
interface Handle {
  readonly bytesWritten?: number;
  readonly writeQueueSize?: number;
  /** With TLS: what carries the encrypted bytes. */
  readonly _parent?: Handle;
}

/** Sees whether bytes move on a connection, in either direction, from one look to the next. */
export class Progress {
  #stream: Redis['stream'] | undefined;
  #read = 0;
  #sent = 0;
  /** The system took no more at the last look: what it takes since then, the other end has made room for. */
  #isFull = false;

  /** Whether the other end has sent something, or taken something that waited here, since the last look at the same connection. */
  look(stream: Redis['stream']): boolean {
    const { _handle: handle } = stream as { readonly _handle?: Handle | null };
    const { _parent: carrier = handle } = handle ?? {};
    const { bytesWritten = 0, writeQueueSize = 0 } = carrier ?? {};
    const read = stream.bytesRead;
    const sent = bytesWritten - writeQueueSize;
    const hasMoved =
      stream === this.#stream && (read > this.#read || (this.#isFull && sent > this.#sent));
    this.#stream = stream;
    this.#read = read;
    this.#sent = sent;
    this.#isFull = writeQueueSize > 0;
    return hasMoved;
  }
}
