import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import type { Timings } from '../timings.ts';

/**
 * Notices a connection that is open and dead: the other end vanished without closing it, which TCP
 * reports only after minutes. The watchdog destroys its socket, and ioredis reconnects.
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
    client.on('connect', () => this.#expectAnswer());
    client.on('ready', () => this.#answeredNow());
    client.on('close', () => this.#clearDeadline());
    client.on('end', () => clearInterval(this.#interval));
  }

  /** Whether the server has answered a PING recently; false also while the server process is stopped. */
  get isAlive(): boolean {
    const { ping, pong } = this.#timings;
    return monotonicTime() - this.#answered < ping + pong / 2;
  }

  #ping(): void {
    if (this.#client.status !== 'ready' || this.#deadline !== undefined) return;
    this.#expectAnswer();
    this.#client.ping().then(
      () => this.#answeredNow(),
      () => {
        // An error reply (LOADING, BUSY, NOPERM) is an answer. A broken connection has emitted `close`.
        if (this.#client.status === 'ready') this.#answeredNow();
      },
    );
  }

  #expectAnswer(): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      // After a long tick of this process timers run before sockets are read: read them first.
      setImmediate(() => {
        if (this.#deadline !== undefined) this.#client.stream.destroy();
      });
    }, this.#timings.pong).unref();
  }

  #answeredNow(): void {
    this.#answered = monotonicTime();
    this.#clearDeadline();
  }

  #clearDeadline(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }
}

/** Watches a connection until it ends. The result tells whether the server has answered recently. */
export function watch(client: Redis, timings: Timings): () => boolean {
  const watchdog = new Watchdog(client, timings);
  return () => watchdog.isAlive;
}
