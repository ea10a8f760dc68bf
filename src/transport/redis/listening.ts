import type { Cluster, Redis } from 'ioredis';

/** Listeners on a client that may be the caller's: all are taken back at the end. */
export class Listening {
  readonly #client: Redis | Cluster;
  readonly #added: [event: string, listener: (...args: never[]) => void][] = [];

  constructor(client: Redis | Cluster) {
    this.#client = client;
  }

  on(event: string, listener: (...args: never[]) => void): void {
    // Several brokers may share a client: Node warns of more than ten listeners.
    const max = this.#client.getMaxListeners();
    if (max > 0) this.#client.setMaxListeners(max + 1);
    this.#client.on(event, listener as (...args: unknown[]) => void);
    this.#added.push([event, listener]);
  }

  stop(): void {
    const max = this.#client.getMaxListeners();
    if (max > 0) this.#client.setMaxListeners(Math.max(1, max - this.#added.length));
    for (const [event, listener] of this.#added.splice(0))
      this.#client.off(event, listener as (...args: unknown[]) => void);
  }
}
