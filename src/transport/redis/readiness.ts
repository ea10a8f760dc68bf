import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { DisconnectedError } from '../source.ts';
import { adviceOn, withoutPassword } from './advice.ts';
import type { Connections } from './connections.ts';

/** Waits until a connection can be used, and knows why it cannot. */
export class Readiness {
  readonly #client: Redis;
  readonly #connections: Connections;
  /** The error of the last attempt to connect. */
  #problem: unknown;
  readonly #waiting = new Set<() => void>();

  constructor(client: Redis, connections: Connections) {
    this.#client = client;
    this.#connections = connections;
    client.on('error', (error) => {
      this.#problem = withoutPassword(error);
      if (adviceOn(error) !== undefined) this.wake();
    });
    client.on('ready', () => {
      if (connections.isRefused(client)) return;
      this.#problem = undefined;
      this.wake();
    });
  }

  /** Has those who wait look again. */
  wake(): void {
    for (const look of this.#waiting) look();
  }

  /**
   * Resolves when the connection is ready, or `isOver` says that nobody needs it any more, which is looked at
   * again at `wake`. Rejects after `timings.readerReconnect`, or at once with an error that another attempt
   * does not fix.
   */
  async wait(isOver: () => boolean): Promise<void> {
    if (this.#isReady() || isOver()) return;
    const deadline = monotonicTime() + this.#connections.timings.readerReconnect;
    while (monotonicTime() < deadline) {
      await this.#change(deadline - monotonicTime());
      if (this.#isReady() || isOver()) return;
      if (adviceOn(this.#problem) !== undefined) throw this.#problem;
    }
    const problem = this.#problem;
    const why = problem === undefined ? '' : `: ${messageOf(problem)}`;
    throw new DisconnectedError(`not connected to ${this.#connections.address}${why}`, {
      cause: problem,
    });
  }

  #isReady(): boolean {
    return this.#client.status === 'ready' && !this.#connections.isRefused(this.#client);
  }

  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(look, ms);
      this.#waiting.add(look);
    });
  }
}
