import { createHash } from 'node:crypto';
import { Acks } from '../acks.ts';
import { Held, refused } from '../held.ts';
import type { Handled } from '../marks.ts';
import { Pauses } from '../pauses.ts';
import type { RateGate } from '../rate.ts';
import { MAX_WAITING, NOT_ACKNOWLEDGED, SOON, reporting } from '../source.ts';
import type { Delivery, Report } from '../source.ts';
import type { Timings } from '../timings.ts';
import type { Connections } from './connections.ts';
import { PAUSES_LEFT } from './group-scripts.ts';
import { insist } from './insist.ts';
import { ListAcks } from './list-acks.ts';
import type { ListKeys } from './list-keys.ts';
import { COUNT, GIVE_BACK, NOTE_PAUSE, PARK } from './list-scripts.ts';

/** Tokens in one script. */
const CHUNK = 1_000;

export interface ListItemsOptions {
  readonly connections: Connections;
  readonly keys: ListKeys;
  readonly consumer: string;
  readonly report: Report;
  /** With lanes: what pauses stays this consumer's, and is not parked. */
  readonly isOrdered: boolean;
  /** With a rate: what comes again takes a permit. */
  readonly gate: RateGate | undefined;
  /** Takes an item whose pause is over. */
  readonly onAgain: (again: Delivery) => void;
  /** Called with the milliseconds until an item that was parked is due. */
  readonly onParked: (delay: number) => void;
  /** Called with an item that is somebody else's by now. */
  readonly onGone: (gone: Delivery) => void;
  /** Called when an item has left after `close`. */
  readonly onLeft: () => Promise<void>;
}

/** The items of a reliable list that one consumer has in hand, and how each is settled. */
export class ListItems {
  readonly #options: ListItemsOptions;
  readonly #connections: Connections;
  readonly #timings: Timings;
  readonly #keys: ListKeys;
  readonly #heldKey: string;
  readonly #report: Report;
  readonly #held = new Held();
  readonly #listAcks: ListAcks;
  readonly #pauses: Pauses<Delivery>;
  readonly #acks = new Acks<Delivery>((batch) => this.#acknowledge(batch));
  #closed = false;

  constructor(options: ListItemsOptions) {
    this.#options = options;
    this.#connections = options.connections;
    this.#timings = options.connections.timings;
    this.#keys = options.keys;
    this.#heldKey = options.keys.heldBy(options.consumer);
    this.#report = options.report;
    const { client } = options.connections;
    this.#listAcks = new ListAcks(client, options.keys.list, this.#heldKey, this.#held);
    this.#pauses = new Pauses(options.gate);
  }

  get size(): number {
    return this.#held.size;
  }

  /** A delivery that waits for a reader. */
  add(token: string, frame: Buffer, pause: number | undefined): Delivery {
    const plain = { frame, name: this.#keys.list, id: undefined, count: countIn(token) };
    const again = isCounted(token) ? plain : { ...plain, comesAgain: true as const };
    const delivery = pause === undefined ? again : { ...again, pause };
    this.#held.add(delivery, token);
    return delivery;
  }

  /** Deliveries that a reader has taken. */
  start(deliveries: readonly Delivery[]): void {
    this.#held.start(deliveries);
  }

  /** The handling of an item begins: see {@link Source.begins}. */
  async begins(delivery: Delivery): Promise<boolean> {
    const token = this.#held.tokenOf(delivery);
    if (token === undefined) return false;
    const next = withCount(token, delivery.count);
    this.#held.renaming(delivery, next);
    const done = await insist(
      this.#connections,
      () => COUNT.run(this.#connections.client, [this.#heldKey], [token, next]),
      reporting(this.#report, 'an item cannot be counted as delivered yet, it is tried again', {
        delivery,
      }),
    );
    if (done === undefined) return false;
    this.#held.renamed(delivery);
    if (Number(done.value) > 0) return true;
    this.#gone(delivery);
    return false;
  }

  /** See {@link Source.holderOf}: what `TAKE_MARK` finds the item by. */
  holderOf(delivery: Delivery): string | undefined {
    const token = this.#held.tokenOf(delivery);
    return token === undefined ? undefined : `${this.#options.consumer} ${token}`;
  }

  tokens(): Set<string> {
    return this.#held.tokens();
  }

  /** No pause ends here any more. */
  stop(): void {
    this.#pauses.stop();
  }

  /** Resolves when no acknowledgement is under way. */
  settled(): Promise<void> {
    return this.#acks.settled();
  }

  /** Nothing waits here from now on. */
  close(unstarted: readonly Delivery[]): void {
    this.#closed = true;
    for (const delivery of unstarted) this.#held.abandon(delivery);
  }

  ack(settled: Delivery, handled?: Handled): Promise<void> | undefined {
    if (!this.#held.leave(settled)) return undefined;
    this.#pauses.delete(settled);
    if (handled !== undefined) this.#listAcks.remember(settled, handled);
    return this.#acks.add(settled);
  }

  nack(settled: Delivery, delay: number, isCounted: boolean): void {
    const { isOrdered } = this.#options;
    const waiting = refused(settled, isCounted);
    if (!this.#held.pause(settled, waiting)) return;
    if (isOrdered && !this.#closed) void this.#notePause(waiting, delay);
    const isLong = delay > this.#timings.expiry || this.#pauses.size >= MAX_WAITING;
    if (isOrdered && this.#closed) void this.#putBackLate(waiting);
    else if (this.#closed || (isLong && !isOrdered)) void this.#park(waiting, delay);
    else this.#pauses.add(waiting, delay, () => this.#deliverAgain(waiting));
  }

  abandon(left: Delivery): void {
    this.#pauses.delete(left);
    this.#held.abandon(left);
  }

  /** Gives back what no handler has, and parks what waits for its next delivery; with lanes, that goes back, too. */
  async leave(): Promise<void> {
    const waiting = this.#pauses.drain();
    const isBack = (pause: number): boolean => this.#options.isOrdered || pause <= SOON;
    const back = waiting.filter(([, pause]) => isBack(pause)).map(([one]) => one);
    const parked = waiting.filter(([, pause]) => !isBack(pause));
    await Promise.all([
      ...parked.map(([delivery, pause]) => this.#park(delivery, pause)),
      this.putBack(this.#held.idle(), back),
    ]);
  }

  /** The milliseconds that each of these items still pauses: its last consumer ended meanwhile. */
  async pausesLeft(
    items: readonly (readonly [token: string, frame: Buffer])[],
  ): Promise<readonly number[]> {
    // One that is delivered for the first time has not paused.
    if (!this.#options.isOrdered || items.every(([token]) => countIn(token) === 1)) return [];
    const digests = items.map(([, frame]) => digestOf(frame));
    const { client } = this.#connections;
    return (await PAUSES_LEFT.run(client, [this.#keys.paused], digests)) as number[];
  }

  /** Puts items back to the head of the list, in order: those that were not handled, and those that were, and are to come again. */
  async putBack(unhandled: readonly Delivery[], handled: readonly Delivery[]): Promise<void> {
    const leaving = [...unhandled, ...handled].filter((delivery) => this.#held.leave(delivery));
    const counted = new Set(handled);
    const rows = leaving
      .map((one): [token: string, count: number] => [
        this.#held.tokenOf(one) as string,
        counted.has(one) ? one.count : one.count - 1,
      ])
      .sort(([a], [b]) => placeIn(a) - placeIn(b));
    const { list, counts } = this.#keys;
    const moved = this.#keys.movedFor(this.#options.consumer);
    const keys = [list, this.#heldKey, counts, moved];
    try {
      // From the end, since each chunk goes to the head of the list.
      let end = rows.length;
      do {
        const some = rows.slice(Math.max(0, end - CHUNK), end).flat();
        await GIVE_BACK.run(this.#connections.client, keys, [this.#timings.keyLife, ...some]);
        end -= CHUNK;
      } while (end > 0);
    } catch (error) {
      for (const delivery of leaving) this.#held.stay(delivery);
      throw error;
    }
    for (const delivery of leaving) this.#held.delete(delivery);
  }

  /** The pause of a refused item is over. */
  #deliverAgain(before: Delivery): void {
    const again: Delivery = { ...before, count: before.count + 1, comesAgain: true };
    this.#held.replace(before, again);
    this.#options.onAgain(again);
  }

  /** An item whose handler was left behind when this consumer closed. */
  async #putBackLate(waiting: Delivery): Promise<void> {
    try {
      await this.putBack([], [waiting]);
      await this.#options.onLeft();
    } catch (error) {
      this.#report('an item could not be given back, another consumer does it later', error);
    }
  }

  #gone(item: Delivery): void {
    this.#held.delete(item);
    this.#options.onGone(item);
  }

  /** Tells whoever gets the item next, if this consumer ends before, how long it pauses. */
  async #notePause(waiting: Delivery, delay: number): Promise<void> {
    const token = this.#held.tokenOf(waiting) as string;
    const keys = [this.#heldKey, this.#keys.paused];
    const args = [
      token,
      digestOf(waiting.frame as Buffer),
      Math.ceil(delay),
      this.#timings.keyLife,
    ];
    await insist(
      this.#connections,
      () => NOTE_PAUSE.run(this.#connections.client, keys, args),
      (error) => this.#report('the pause of an item is not saved yet, it is tried again', error),
      () => this.#held.tokenOf(waiting) !== token,
    );
  }

  /** Keeps an item on the server until its next delivery. */
  async #park(delivery: Delivery, delay: number): Promise<void> {
    const { parked, parkedItems } = this.#keys;
    const token = this.#held.tokenOf(delivery) as string;
    if (!this.#held.leave(delivery)) return;
    const keys = [this.#heldKey, parked, parkedItems];
    const place = token.slice(0, token.indexOf(':'));
    const id = `${this.#options.consumer}:${place}:${delivery.count}`;
    const args = [token, id, Math.ceil(delay)];
    const done = await insist(
      this.#connections,
      () => PARK.run(this.#connections.client, keys, args),
      reporting(this.#report, 'an item cannot be kept yet, it is tried again', { delivery }),
    );
    if (done === undefined) return;
    this.#held.delete(delivery);
    this.#options.onParked(delay);
    if (this.#closed) await this.#options.onLeft();
  }

  async #acknowledge(acked: readonly Delivery[]): Promise<void> {
    const done = await insist(
      this.#connections,
      () => this.#listAcks.acknowledge(acked),
      reporting(this.#report, NOT_ACKNOWLEDGED, { unacknowledged: acked.length }),
    );
    // The connection is over, and whoever waits must not take it for done.
    if (done === undefined) return new Promise(() => undefined);
    for (const delivery of acked) this.#held.delete(delivery);
    if (this.#closed) await this.#options.onLeft().catch(() => undefined);
  }
}

/** Whether the delivery that a token stands for is counted in it: that of an item that came back is not before it begins. */
function isCounted(token: string): boolean {
  return !token.includes('-:');
}

/** How often an item has been delivered, this time included. */
function countIn(token: string): number {
  const counted = Number(token.slice(token.indexOf(':') + 1));
  return isCounted(token) ? counted : counted + 1;
}

function withCount(token: string, count: number): string {
  return token.replace(/-?:\d+$/, `:${count}`);
}

/** Tokens in the order in which their items lay in the list. */
export function placeIn(token: string): number {
  const [take, place] = token.split(/[-:]/).map(Number) as [number, number];
  return take * 1_000_000 + place;
}

function digestOf(frame: Buffer): string {
  return createHash('sha1').update(frame).digest('hex');
}
