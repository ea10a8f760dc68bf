import { setTimer } from '../../internal/clock.ts';
import { Feed } from '../feed.ts';
import { Held } from '../held.ts';
import type { Delivery, Source } from '../source.ts';
import type { Timings } from '../timings.ts';
import type { MemoryList } from './list.ts';

/** A list whose items come back unless they are acknowledged. */
export class MemoryReliableListSource implements Source {
  readonly canReturn = true;
  readonly needsAck = true;
  readonly #list: MemoryList;
  readonly #name: string;
  readonly #expiry: number;
  /** What was taken and not acknowledged, oldest first: Redis's processing list. */
  readonly #processing = new Set<Buffer>();
  readonly #held: Held;
  readonly #feed: Feed;
  #stopped = false;

  constructor(list: MemoryList, name: string, { expiry }: Timings) {
    this.#list = list;
    this.#name = name;
    this.#expiry = expiry;
    this.#held = new Held((again) => this.#feed.pushPast(again));
    this.#feed = new Feed({
      fetch: (max) => this.#take(max),
      onTaken: (deliveries) => this.#start(deliveries),
    });
  }

  /** Whether nothing will ever be given back. */
  get isOver(): boolean {
    return this.#stopped && this.#processing.size === 0;
  }

  read(max: number): Promise<Delivery[]> {
    return this.#feed.next(max);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#held.stop();
    this.#feed.end();
    this.#list.unblock(this.#feed.wake);
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    for (const delivery of unstarted) this.abandon(delivery);
    this.#feed.drain();
    this.#giveBack(this.#held.takeIdle());
    if (this.#processing.size > 0) setTimer(() => this.die(), this.#expiry).unref();
  }

  /** Gives back everything, as other consumers do on Redis when one is dead. */
  die(): void {
    void this.stop();
    this.#feed.drain();
    this.#giveBack([...this.#held.all()]);
  }

  ack(delivery: Delivery): undefined {
    if (this.#held.acknowledge(delivery)) this.#forget(delivery);
  }

  nack(delivery: Delivery, delay: number): void {
    this.#held.nack(delivery, delay);
  }

  abandon(delivery: Delivery): void {
    this.#held.abandon(delivery);
  }

  #take(max: number): undefined {
    const frames = this.#list.take(max);
    if (frames.length === 0) this.#list.block(this.#feed.wake);
    for (const frame of frames) {
      const delivery = { frame, name: this.#name, id: undefined, count: 1 };
      this.#processing.add(frame);
      this.#held.add(delivery);
      this.#feed.push(delivery);
    }
  }

  #start(deliveries: readonly Delivery[]): void {
    this.#held.start(deliveries);
    // Where it read a nacked item, it is still among the blocked readers.
    this.#list.unblock(this.#feed.wake);
  }

  #giveBack(deliveries: readonly Delivery[]): void {
    const given = new Set(deliveries.map(({ frame }) => frame));
    const frames = [...this.#processing].filter((frame) => given.has(frame));
    for (const delivery of deliveries) this.#forget(delivery);
    this.#list.putBack(frames);
  }

  #forget(delivery: Delivery): void {
    this.#held.delete(delivery);
    this.#processing.delete(delivery.frame as Buffer);
  }
}
