import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import type { Timings } from '../timings.ts';

/**
 * Notices a connection that is open and dead: one whose other end is gone without a word, which
 * TCP by itself reports after minutes. Its socket is destroyed, and ioredis reconnects.
 */
class Watchdog {
  /** When the server last answered on this connection. */
  #answered = monotonicTime();
  #deadline: NodeJS.Timeout | undefined;
  readonly #client: Redis;
  readonly #timings: Timings;
  readonly #interval: NodeJS.Timeout;

  constructor(client: Redis, timings: Timings) {
    this.#client = client;
    this.#timings = timings;
    this.#interval = setInterval(() => this.#ping(), timings.ping).unref();
    client.on('connect', () => this.#expect());
    client.on('ready', () => this.#alive());
    client.on('close', () => this.#calm());
    client.on('end', () => clearInterval(this.#interval));
  }

  /** Whether the server answered a PING lately. While it is frozen as a whole, it did not. */
  get isAlive(): boolean {
    const { ping, pong } = this.#timings;
    return monotonicTime() - this.#answered < ping + pong / 2;
  }

  #ping(): void {
    if (this.#client.status !== 'ready' || this.#deadline !== undefined) return;
    this.#expect();
    this.#client.ping().then(
      () => this.#alive(),
      () => {
        // LOADING, BUSY, NOPERM … are answers. Where it was the connection that broke, `close` was told.
        if (this.#client.status === 'ready') this.#alive();
      },
    );
  }

  #expect(): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      // A process that was busy itself finds its timers due before it has read its sockets.
      setImmediate(() => {
        if (this.#deadline !== undefined) this.#client.stream.destroy();
      });
    }, this.#timings.pong).unref();
  }

  #alive(): void {
    this.#answered = monotonicTime();
    this.#calm();
  }

  #calm(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }
}

/** Watches over a connection until it ends; answers whether the server has answered lately. */
export function watchOver(client: Redis, timings: Timings): () => boolean {
  const watchdog = new Watchdog(client, timings);
  return () => watchdog.isAlive;
}
