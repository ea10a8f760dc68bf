import { monotonicTime } from '../internal/clock.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';
import type { Gate, Subscription } from '../transport/memory/gate.ts';
import type { Handled } from '../transport/marks.ts';
import type { Backlog, Delivery, IsFull, Source } from '../transport/source.ts';

/**
 * The connection of a broker under test, which tests can break. While it is down, commands wait, as
 * with ioredis, and channels receive nothing; `restore` subscribes to them again.
 */
export class Link implements Gate {
  /** Counts what is sent, delivered, acknowledged or handed back. */
  activity = 0;
  readonly #subscriptions = new Set<Subscription>();
  #down: Deferred<void> | undefined;
  #since = 0;

  get isDown(): boolean {
    return this.#down !== undefined;
  }

  get downFor(): number {
    return this.#down === undefined ? 0 : monotonicTime() - this.#since;
  }

  passed(): Promise<void> | undefined {
    this.activity++;
    return this.#down?.promise;
  }

  add(subscription: Subscription): () => void {
    this.#subscriptions.add(subscription);
    return () => this.#subscriptions.delete(subscription);
  }

  guard(source: Source): Source {
    return new LinkedSource(source, this);
  }

  cut(): void {
    if (this.#down !== undefined) return;
    this.#down = deferred();
    this.#since = monotonicTime();
    for (const subscription of this.#subscriptions) subscription.cut();
  }

  /** In the order of a Redis client: first subscribes again, then sends what waited. */
  restore(): void {
    const down = this.#down;
    if (down === undefined) return;
    this.#down = undefined;
    for (const subscription of [...this.#subscriptions]) subscription.restore();
    down.resolve();
  }
}

/** A source that delivers nothing while the connection is down. */
class LinkedSource implements Source {
  readonly canReturn: boolean;
  readonly needsAck: boolean;
  readonly #inner: Source;
  readonly #link: Link;
  readonly #stopped = deferred<void>();
  #isStopped = false;

  constructor(inner: Source, link: Link) {
    this.canReturn = inner.canReturn;
    this.needsAck = inner.needsAck;
    this.#inner = inner;
    this.#link = link;
  }

  get problem(): string | undefined {
    return this.#link.isDown ? 'the connection is down' : undefined;
  }

  get backlog(): Backlog | undefined {
    return this.#inner.backlog;
  }

  get held(): number {
    return this.#inner.held;
  }

  async read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    await this.#untilUp();
    const deliveries = await this.#inner.read(max, isFull);
    await this.#untilUp();
    return deliveries;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopped.resolve();
    await this.#inner.stop();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    await this.#inner.close(unstarted);
  }

  giveBack(deliveries: readonly Delivery[]): Promise<void> {
    this.#link.activity++;
    return this.#inner.giveBack(deliveries);
  }

  holderOf(delivery: Delivery): string | undefined {
    return this.#inner.holderOf?.(delivery);
  }

  ack(delivery: Delivery, handled?: Handled): Promise<void> | undefined {
    this.#link.activity++;
    return this.#inner.ack(delivery, handled);
  }

  nack(delivery: Delivery, delay: number, isCounted?: boolean): void {
    this.#link.activity++;
    this.#inner.nack(delivery, delay, isCounted);
  }

  abandon(delivery: Delivery): void {
    this.#inner.abandon(delivery);
  }

  /** Waits until the connection is up or the source is stopped. */
  async #untilUp(): Promise<void> {
    const passed = this.#link.passed();
    if (passed !== undefined && !this.#isStopped)
      await Promise.race([passed, this.#stopped.promise]);
  }
}
