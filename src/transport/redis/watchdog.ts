import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import type { Timings } from '../timings.ts';

/** A PING waits behind what was written before it: a link is given a millisecond for so many bytes (1 MB/s). */
const BYTES_PER_MS = 1_000;

/**
 * Notices a connection that is open and dead: the other end vanished without closing it, which TCP
 * reports only after minutes. The watchdog destroys its socket, and ioredis reconnects. A connection that
 * is slow is alive: bytes that arrive count as an answer, and those that were written are given time.
 */
class Watchdog implements Watched {
  /** When the server last answered on this connection. */
  #answered = monotonicTime();
  /** When what it last answered was sent: a busy process reads an answer late. */
  #asked = monotonicTime();
  #deadline: NodeJS.Timeout | undefined;
  /** Bytes written on this connection when the server last answered. */
  #written = 0;
  readonly #client: Redis;
  readonly #timings: Timings;
  readonly #interval: NodeJS.Timeout;

  constructor(client: Redis, timings: Timings) {
    this.#client = client;
    this.#timings = timings;
    this.#interval = setInterval(() => this.#ping(), timings.ping).unref();
    client.on('connect', () => {
      this.#written = 0;
      this.#expectAnswer();
    });
    client.on('ready', () => {
      this.#answeredNow();
      this.#asked = monotonicTime();
    });
    client.on('close', () => this.#clearDeadline());
    client.on('end', () => clearInterval(this.#interval));
  }

  /** Whether the server has answered a PING recently; false also while the server process is stopped. */
  get isAlive(): boolean {
    return this.silence < this.#timings.ping + this.#timings.pong / 2;
  }

  /** Milliseconds since the server last answered. */
  get silence(): number {
    return monotonicTime() - this.#answered;
  }

  get unheard(): number {
    return monotonicTime() - this.#asked;
  }

  #ping(): void {
    if (this.#client.status !== 'ready' || this.#deadline !== undefined) return;
    this.#expectAnswer();
    const asked = monotonicTime();
    const answered = (): void => {
      this.#answeredNow();
      this.#asked = asked;
    };
    this.#client.ping().then(answered, () => {
      // An error reply (LOADING, BUSY, NOPERM) is an answer. A broken connection has emitted `close`.
      if (this.#client.status === 'ready') answered();
    });
  }

  #expectAnswer(): void {
    clearTimeout(this.#deadline);
    const { bytesRead, bytesWritten } = this.#client.stream;
    const onItsWay = Math.max(0, bytesWritten - this.#written) / BYTES_PER_MS;
    this.#deadline = setTimeout(() => {
      // After a long tick of this process timers run before sockets are read: read them first.
      setImmediate(() => {
        if (this.#deadline === undefined) return;
        if (this.#client.stream.bytesRead > bytesRead) this.#expectAnswer();
        else this.#client.stream.destroy();
      });
    }, this.#timings.pong + onItsWay).unref();
  }

  #answeredNow(): void {
    this.#answered = monotonicTime();
    this.#written = this.#client.stream.bytesWritten;
    this.#clearDeadline();
  }

  #clearDeadline(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }
}

/** What is known of a connection that is watched. */
export interface Watched {
  /** Whether the server has answered a PING recently; false also while the server process is stopped. */
  readonly isAlive: boolean;
  /** Milliseconds since the server last answered. */
  readonly silence: number;
  /** Milliseconds for which it is not known that all that the server had sent was read: since the PING that it last answered. */
  readonly unheard: number;
}

/** Watches a connection until it ends. */
export function watch(client: Redis, timings: Timings): Watched {
  return new Watchdog(client, timings);
}
