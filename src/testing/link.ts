import { monotonicTime } from '../internal/clock.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';
import type { Gate, Subscription } from '../transport/memory/gate.ts';
import type { Backlog, Delivery, Source } from '../transport/source.ts';

/**
 * The connection of a broker under test, which tests can break. While it is down commands wait, as
 * ioredis's do; channels are not heard, and are subscribed to again when it is back.
 */
export class Link implements Gate {
  /** Grows with everything that is sent, delivered and settled. */
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

  /** As a client does: first everything is subscribed to again, then what waited is sent. */
  restore(): void {
    const down = this.#down;
    if (down === undefined) return;
    this.#down = undefined;
    for (const subscription of [...this.#subscriptions]) subscription.restore();
    down.resolve();
  }
}

/** Hands nothing over while the connection is down. */
class LinkedSource implements Source {
  readonly takesBack: boolean;
  readonly settles: boolean;
  readonly #inner: Source;
  readonly #link: Link;
  readonly #stopped = deferred<void>();
  #isStopped = false;

  constructor(inner: Source, link: Link) {
    this.takesBack = inner.takesBack;
    this.settles = inner.settles;
    this.#inner = inner;
    this.#link = link;
  }

  get trouble(): string | undefined {
    return this.#link.isDown ? 'the connection is down' : undefined;
  }

  get backlog(): Backlog | undefined {
    return this.#inner.backlog;
  }

  async read(max: number): Promise<Delivery[]> {
    await this.#up();
    const deliveries = await this.#inner.read(max);
    await this.#up();
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

  ack(delivery: Delivery): Promise<void> | undefined {
    this.#link.activity++;
    return this.#inner.ack(delivery);
  }

  nack(delivery: Delivery, delay: number): void {
    this.#link.activity++;
    this.#inner.nack(delivery, delay);
  }

  abandon(delivery: Delivery): void {
    this.#inner.abandon(delivery);
  }

  /** Waits for the connection, but not past a stop. */
  async #up(): Promise<void> {
    const passed = this.#link.passed();
    if (passed !== undefined && !this.#isStopped)
      await Promise.race([passed, this.#stopped.promise]);
  }
}
