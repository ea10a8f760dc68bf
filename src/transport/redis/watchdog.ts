import type { Redis } from 'ioredis';

/** Milliseconds between two PINGs on a connection. */
const INTERVAL = 1_400;
/** Milliseconds that a PING, or the handshake of a new connection, may take. Together they are under 5 s. */
const PATIENCE = 3_150;

/**
 * Notices a connection that is open and dead: one whose other end is gone without a word, which
 * TCP by itself reports after minutes. Its socket is destroyed, and ioredis reconnects.
 */
class Watchdog {
  /** When the server last answered on this connection. */
  #answered = performance.now();
  #deadline: NodeJS.Timeout | undefined;
  readonly #client: Redis;
  readonly #interval: NodeJS.Timeout;

  constructor(client: Redis) {
    this.#client = client;
    this.#interval = setInterval(() => this.#ping(), INTERVAL).unref();
    client.on('connect', () => this.#expect());
    client.on('ready', () => this.#alive());
    client.on('close', () => this.#calm());
    client.on('end', () => clearInterval(this.#interval));
  }

  /** Whether the server answered a PING lately. While it is frozen as a whole, it did not. */
  get isAlive(): boolean {
    return performance.now() - this.#answered < INTERVAL + PATIENCE / 2;
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
    }, PATIENCE).unref();
  }

  #alive(): void {
    this.#answered = performance.now();
    this.#calm();
  }

  #calm(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }
}

/** Watches over a connection until it ends; answers whether the server has answered lately. */
export function watchOver(client: Redis): () => boolean {
  const watchdog = new Watchdog(client);
  return () => watchdog.isAlive;
}
