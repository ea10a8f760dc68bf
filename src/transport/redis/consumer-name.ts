import { monotonicTime } from '../../internal/clock.ts';
import { pause } from '../../internal/deferred.ts';
import { randomId } from '../../internal/ids.ts';
import type { Report } from '../source.ts';
import type { Connections } from './connections.ts';
import { LEASE, RELEASE } from './group-scripts.ts';

/**
 * A consumer's name that its user chose. Whoever reads as it holds a lease (a key with an expiry): a second
 * process of that name would handle what the first has in hand, and reads as `<name>~<random>`.
 */
export class ConsumerName {
  readonly #connections: Connections;
  readonly #key: string;
  readonly #given: string;
  readonly #report: Report;
  readonly #owner = randomId(12);
  #current: string;
  #renewing: NodeJS.Timeout | undefined;
  #isSettled = false;

  constructor(connections: Connections, key: string, given: string, report: Report) {
    this.#connections = connections;
    this.#key = key;
    this.#given = given;
    this.#report = report;
    this.#current = given;
  }

  get current(): string {
    return this.#current;
  }

  /** Resolves when it is known which name this consumer has; undefined where it is. */
  settle(signal: AbortSignal): Promise<void> | undefined {
    return this.#isSettled ? undefined : this.#settle(signal);
  }

  /** Gives the name up, for whoever starts next. */
  async release(): Promise<void> {
    clearInterval(this.#renewing);
    if (this.#isSettled && this.#current === this.#given)
      await RELEASE.run(this.#connections.client, [this.#key], [this.#owner]);
  }

  /**
   * Waits for a lease that another has: where that does not renew it, it is of a process that is dead, as
   * after a crash and a restart.
   */
  async #settle(signal: AbortSignal): Promise<void> {
    const { beat, expiry } = this.#connections.timings;
    let last = Infinity;
    let asked = monotonicTime();
    while (!signal.aborted) {
      const left = await this.#lease(expiry);
      const elapsed = monotonicTime() - asked;
      asked = monotonicTime();
      if (left === 0) {
        this.#renewing = setInterval(() => void this.#renew(), beat).unref();
        break;
      }
      if (left > last - elapsed + beat / 2) {
        this.#move();
        break;
      }
      last = left;
      await pause(Math.min(left + 5, beat / 6), signal);
    }
    this.#isSettled = !signal.aborted;
  }

  async #lease(life: number): Promise<number> {
    return Number(await LEASE.run(this.#connections.client, [this.#key], [this.#owner, life]));
  }

  /** GETEX, one command, shows whose it is and prolongs it. */
  async #renew(): Promise<void> {
    const { client, timings } = this.#connections;
    if (client.status === 'end') return clearInterval(this.#renewing);
    if (client.status !== 'ready') return;
    try {
      const owner = await client.call('GETEX', this.#key, 'PX', timings.expiry);
      if (owner === this.#owner) return;
      if (owner === null && (await this.#lease(timings.expiry)) === 0) return;
      clearInterval(this.#renewing);
      this.#move();
    } catch (error) {
      this.#report(`the lease of the consumer's name '${this.#given}' could not be renewed`, error);
    }
  }

  #move(): void {
    this.#current = `${this.#given}~${randomId(6)}`;
    this.#report(
      `another process reads as consumer '${this.#given}': this one reads as '${this.#current}'; give each process a name of its own`,
      undefined,
    );
  }
}
