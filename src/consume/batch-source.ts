import { monotonicTime } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Handled } from '../transport/marks.ts';
import type { Backlog, Delivery, IsFull, Source } from '../transport/source.ts';

/** Collects deliveries until a batch is full, but at most `maxWait` milliseconds after its first delivery. */
export class BatchSource implements Source {
  readonly canReturn: boolean;
  readonly needsAck: boolean;
  readonly #inner: Source;
  readonly #maxWait: number;
  /** A read that had not ended when its batch was returned: its deliveries begin the next batch. */
  #late: Promise<Delivery[]> | undefined;
  #stopped = false;

  constructor(inner: Source, maxWait: number) {
    this.canReturn = inner.canReturn;
    this.needsAck = inner.needsAck;
    this.#inner = inner;
    this.#maxWait = maxWait;
  }

  get problem(): string | undefined {
    return this.#inner.problem;
  }

  get backlog(): Backlog | undefined {
    return this.#inner.backlog;
  }

  get held(): number {
    return this.#inner.held;
  }

  async read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    const deliveries = await this.#next(max, isFull);
    const until = monotonicTime() + this.#maxWait;
    while (deliveries.length > 0 && deliveries.length < max && !this.#stopped) {
      const left = until - monotonicTime();
      if (left <= 0) break;
      this.#late = this.#inner.read(max - deliveries.length, isFull);
      // If this read fails, the next `read` rejects with its error.
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
    // Its deliveries were not started either. If it failed, it has none.
    const late = (await this.#late?.catch(() => [])) ?? [];
    await this.#inner.close([...unstarted, ...late]);
  }

  giveBack(deliveries: readonly Delivery[]): Promise<void> {
    return this.#inner.giveBack(deliveries);
  }

  holderOf(delivery: Delivery): string | undefined {
    return this.#inner.holderOf?.(delivery);
  }

  ack(delivery: Delivery, handled?: Handled): Promise<void> | undefined {
    return this.#inner.ack(delivery, handled);
  }

  nack(delivery: Delivery, delay: number, isCounted?: boolean): void {
    this.#inner.nack(delivery, delay, isCounted);
  }

  abandon(delivery: Delivery): void {
    this.#inner.abandon(delivery);
  }

  async #next(max: number, isFull?: IsFull): Promise<Delivery[]> {
    const late = this.#late;
    this.#late = undefined;
    return late ?? this.#inner.read(max, isFull);
  }
}
