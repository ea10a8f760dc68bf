import type { Redis } from 'ioredis';
import { Outbox } from '../outbox.ts';
import type { Wish } from '../transport.ts';

/** Lets messages out at once while the connection is up, and keeps them in order while it is down. */
export class Departures {
  readonly #client: Redis;
  readonly #outbox = new Outbox();

  constructor(client: Redis) {
    this.#client = client;
  }

  /** Whether messages can be sent at once: the connection is up, and no other message waits for it. */
  get areOpen(): boolean {
    return this.#client.status === 'ready' && !this.#outbox.isHolding;
  }

  /** Calls `send` when the connection is up, or `refused` where it is given up. */
  wait(wish: Wish, refused: (error: unknown) => void, send: () => void, count = 1): void {
    this.#outbox.add({ wish, refused, count, send }, this.#untilUp);
  }

  /** Runs what sends `count` messages, at once or when the connection is up. */
  run<T>(count: number, run: () => Promise<T>, wish: Wish = {}): Promise<T> {
    if (this.areOpen) return run();
    return new Promise((sent, refused) =>
      this.wait(wish, refused, () => void run().then(sent, refused), count),
    );
  }

  /**
   * PING, which waits in ioredis's queue until the connection is up, and is refused as any other command
   * there: after `maxRetriesPerRequest` attempts to reconnect, and at the end.
   */
  readonly #untilUp = async (): Promise<void> => {
    try {
      await this.#client.ping();
    } catch (error) {
      // A refusal by the server is an answer.
      if (this.#client.status !== 'ready') throw error;
    }
  };
}
