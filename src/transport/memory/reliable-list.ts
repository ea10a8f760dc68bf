import { setTimer } from '../../internal/clock.ts';
import { Feed } from '../feed.ts';
import type { Lanes } from '../lanes.ts';
import { Held, refused } from '../held.ts';
import type { Handled } from '../marks.ts';
import { Pauses } from '../pauses.ts';
import {
  MAX_WAITING,
  SOON,
  type Delivery,
  type IsFull,
  type ListSourceOptions,
  type Source,
} from '../source.ts';
import type { Timings } from '../timings.ts';
import { deferred } from '../../internal/deferred.ts';
import type { RateGate } from '../rate.ts';
import type { MemoryList } from './list.ts';
import { rateGate } from './permits.ts';
import type { MemoryMarks } from './marks.ts';

/** A list whose items come back unless they are acknowledged. Equal items are told apart as objects. */
export class MemoryReliableListSource implements Source {
  readonly canReturn = true;
  readonly needsAck = true;
  readonly #list: MemoryList;
  readonly #name: string;
  readonly #marks: MemoryMarks;
  readonly #expiry: number;
  readonly #held = new Held();
  readonly #pauses: Pauses<Delivery>;
  readonly #feed: Feed;
  /** Items taken so far: their tokens are their numbers. */
  #taken = 0;
  #stopped = false;

  readonly #lanes: Lanes | undefined;

  readonly #gate: RateGate | undefined;
  readonly #stopping = deferred<void>();

  constructor(
    list: MemoryList,
    { name, rate }: ListSourceOptions,
    { expiry }: Timings,
    marks: MemoryMarks,
    lanes?: Lanes,
  ) {
    this.#marks = marks;
    this.#gate = rateGate(list.rate, rate);
    this.#pauses = new Pauses(this.#gate);
    this.#list = list;
    this.#name = name;
    this.#expiry = expiry;
    this.#lanes = lanes;
    this.#feed = new Feed({
      fetch: (max) => this.#fetch(max),
      onTaken: (deliveries) => this.#start(deliveries),
      lanes,
    });
  }

  /** Whether nothing will ever be given back. */
  get isOver(): boolean {
    return this.#stopped && this.#held.size === 0;
  }

  get held(): number {
    return this.#held.size;
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#gate?.stop();
    this.#stopping.resolve();
    this.#pauses.stop();
    this.#feed.end();
    this.#list.unblock(this.#feed.wake);
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    for (const delivery of this.#feed.takeBack(unstarted)) this.#held.abandon(delivery);
    const soon: Delivery[] = [];
    for (const [delivery, left] of this.#pauses.drain()) {
      if (left > SOON && this.#lanes === undefined) this.#park(delivery, left);
      else soon.push(delivery);
    }
    this.#putBack(this.#held.idle(), soon);
    if (this.#held.size > 0) setTimer(() => this.die(), this.#expiry).unref();
  }

  /** Gives back everything, as other consumers do on Redis when one is dead: what it held counts as delivered. */
  die(): void {
    void this.stop();
    this.#feed.takeBack([]);
    this.#putBack([], [...this.#held.all()]);
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    if (this.#lanes !== undefined) {
      const interrupt = async (): Promise<void> => this.#list.unblock(this.#feed.wake);
      return this.#feed.giveBack(deliveries, interrupt, async (all) => this.#leave(all));
    }
    const unread = this.#feed.isAwaited ? [] : this.#feed.drain();
    if (!this.#feed.isAwaited) this.#list.unblock(this.#feed.wake);
    this.#leave([...deliveries, ...unread]);
  }

  #leave(unstarted: readonly Delivery[]): void {
    void this.#gate?.giveBack(unstarted.length);
    this.#putBack(
      unstarted.filter((delivery) => this.#held.leave(delivery)),
      [],
    );
  }

  holderOf({ frame }: Delivery): string {
    return this.#list.idOf(frame as Buffer);
  }

  ack(delivery: Delivery, handled?: Handled): undefined {
    this.#lanes?.settled(delivery);
    if (handled !== undefined) {
      const { id, life } = handled;
      this.#marks.handled({ name: this.#name, group: undefined, id }, life);
    }
    this.#pauses.delete(delivery);
    this.#held.delete(delivery);
  }

  nack(delivery: Delivery, delay: number, isCounted = true): void {
    const waiting = refused(delivery, isCounted);
    if (!this.#held.pause(delivery, waiting)) return;
    const isLong = delay > this.#expiry || this.#pauses.size >= MAX_WAITING;
    if (this.#lanes !== undefined) this.#list.pauses.note(waiting.frame, delay);
    if (isLong && this.#lanes === undefined) this.#park(waiting, delay);
    else this.#pauses.add(waiting, delay, () => this.#deliverAgain(waiting));
  }

  abandon(delivery: Delivery): void {
    this.#lanes?.settled(delivery);
    this.#pauses.delete(delivery);
    this.#held.abandon(delivery);
  }

  #fetch(max: number): Promise<void> | undefined {
    if (this.#gate !== undefined) {
      const untilSome = (): Promise<boolean> => this.#list.untilItem(this.#stopping.promise);
      return this.#gate.fetch(max, async (some) => this.#take(some), untilSome);
    }
    if (this.#take(max) === 0) this.#list.block(this.#feed.wake);
    return undefined;
  }

  #take(max: number): number {
    const frames = this.#list.take(max);
    for (const frame of frames) {
      const count = this.#list.countsOf.get(frame) ?? 0;
      const plain = { frame, name: this.#name, id: undefined, count: count + 1 };
      const delivery =
        this.#lanes === undefined ? plain : { ...plain, pause: this.#list.pauses.left(frame) };
      this.#held.add(delivery, String(++this.#taken));
      this.#feed.push(delivery);
    }
    return frames.length;
  }

  #start(deliveries: readonly Delivery[]): void {
    this.#held.start(deliveries);
    // Where it read a nacked item, it is still among the blocked readers.
    this.#list.unblock(this.#feed.wake);
  }

  #deliverAgain(before: Delivery): void {
    const again = { ...before, count: before.count + 1 };
    this.#held.replace(before, again);
    this.#feed.pushPast(again);
  }

  /** The list delivers it when its pause is over, to whoever reads then. */
  #park(delivery: Delivery, delay: number): void {
    this.#held.delete(delivery);
    this.#list.park(delivery.frame as Buffer, delivery.count, delay);
  }

  /** In the order in which they lay in the list. Those that were not handled count as not delivered. */
  #putBack(unhandled: readonly Delivery[], handled: readonly Delivery[]): void {
    for (const { frame, count } of unhandled) this.#list.countsOf.set(frame as Buffer, count - 1);
    for (const { frame, count } of handled) this.#list.countsOf.set(frame as Buffer, count);
    const placeOf = (delivery: Delivery): number => Number(this.#held.tokenOf(delivery));
    const all = [...unhandled, ...handled].sort((a, b) => placeOf(a) - placeOf(b));
    for (const delivery of all) this.#held.delete(delivery);
    this.#list.putBack(all.map(({ frame }) => frame as Buffer));
  }
}
