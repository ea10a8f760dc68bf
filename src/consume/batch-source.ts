import { monotonicTime } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Backlog, Delivery, Source } from '../transport/source.ts';

/** Waits for a batch to be full, for so many milliseconds from its first delivery on. */
export class BatchSource implements Source {
  readonly takesBack: boolean;
  readonly settles: boolean;
  readonly #inner: Source;
  readonly #maxWait: number;
  /** A read that went on when its batch was handed over: the next batch begins with what it brings. */
  #late: Promise<Delivery[]> | undefined;
  #stopped = false;

  constructor(inner: Source, maxWait: number) {
    this.takesBack = inner.takesBack;
    this.settles = inner.settles;
    this.#inner = inner;
    this.#maxWait = maxWait;
  }

  get trouble(): string | undefined {
    return this.#inner.trouble;
  }

  get backlog(): Backlog | undefined {
    return this.#inner.backlog;
  }

  async read(max: number): Promise<Delivery[]> {
    const deliveries = await this.#next(max);
    const until = monotonicTime() + this.#maxWait;
    while (deliveries.length > 0 && deliveries.length < max && !this.#stopped) {
      const left = until - monotonicTime();
      if (left <= 0) break;
      this.#late = this.#inner.read(max - deliveries.length);
      // One that fails is the next read's to say.
      if (!(await settledWithin(this.#late, left))) break;
      try {
        const more = await this.#late;
        this.#late = undefined;
        if (more.length === 0) break; // stopped
        deliveries.push(...more);
      } catch {
        break;
      }
    }
    return deliveries;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#inner.stop();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    // What it brought was not started either; where it failed, it has brought nothing.
    const late = (await this.#late?.catch(() => [])) ?? [];
    await this.#inner.close([...unstarted, ...late]);
  }

  ack(delivery: Delivery): Promise<void> | undefined {
    return this.#inner.ack(delivery);
  }

  nack(delivery: Delivery, delay: number): void {
    this.#inner.nack(delivery, delay);
  }

  abandon(delivery: Delivery): void {
    this.#inner.abandon(delivery);
  }

  async #next(max: number): Promise<Delivery[]> {
    const late = this.#late;
    this.#late = undefined;
    return late ?? this.#inner.read(max);
  }
}
