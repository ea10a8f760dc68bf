import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { Acks } from '../acks.ts';
import { refused } from '../held.ts';
import { Pauses } from '../pauses.ts';
import type { RateGate } from '../rate.ts';
import {
  MAX_WAITING,
  NOT_ACKNOWLEDGED,
  PARKED,
  compareIds,
  longestPause,
  reporting,
  type Delivery,
  type Report,
  type StreamSourceOptions,
} from '../source.ts';
import { GIVEN_BACK, type Claimed } from './claims.ts';
import type { Connections } from './connections.ts';
import type { Handled } from '../marks.ts';
import {
  ACK_AND_DELETE,
  ACK_HANDLED,
  ACK_HANDLED_AND_DELETE,
  DELIVER_AGAIN,
  GIVE_BACK,
  NOTE_PAUSE,
  PARK,
  PAUSES_LEFT,
} from './group-scripts.ts';
import { handledKey } from './marks.ts';
import { insist } from './insist.ts';
import { entries, frameOf, idOf, type PendingRow } from './replies.ts';
import type { Send } from './script.ts';
import { Trimmer } from './trim.ts';

/** Ids in one command or script. */
const CHUNK = 500;

/**
 * `held`: fetched, or a handler has it; what comes again is counted as delivered when it begins.
 * `paused`: refused, and waits for its next delivery. `leaving`: the server is being told that it is handled,
 * `returning`: that it is given back, so that it must not be renewed; the server may still report it as pending.
 */
type State = 'held' | 'paused' | 'leaving' | 'returning';

export interface GroupEntriesOptions {
  readonly connections: Connections;
  readonly options: StreamSourceOptions;
  readonly consumer: () => string;
  /** The key of the due times of parked entries. */
  readonly parkedKey: string;
  /** With lanes: the key of the ends of pauses. What pauses stays this consumer's, and is not parked. */
  readonly pausesKey: string | undefined;
  /** With a rate: what comes again takes a permit. */
  readonly gate: RateGate | undefined;
  readonly report: Report;
  /** Called with an entry of which nothing more comes. */
  readonly onGone: (gone: Delivery) => void;
  /** Takes an entry whose pause is over. */
  readonly onAgain: (again: Delivery) => void;
  /** Called with the milliseconds until an entry that was parked is due. */
  readonly onParked: (delay: number) => void;
}

/** The entries of a group that one consumer has in hand, and how each is settled. */
export class GroupEntries {
  readonly #connections: Connections;
  readonly #client: Redis;
  readonly #options: StreamSourceOptions;
  readonly #key: string;
  readonly #group: string;
  readonly #consumer: () => string;
  readonly #parkedKey: string;
  readonly #pausesKey: string | undefined;
  readonly #report: Report;
  readonly #onGone: (gone: Delivery) => void;
  readonly #onAgain: (again: Delivery) => void;
  readonly #onParked: (delay: number) => void;
  readonly #states = new Map<string, State>();
  /** Ids that are left to whoever takes them over: they are not renewed. */
  readonly #abandoned = new Set<string>();
  readonly #pauses: Pauses<Delivery>;
  /** Of those that are being acknowledged: what is to be remembered. */
  readonly #handled = new Map<string, Handled>();
  readonly #acks = new Acks<string>((batch) => this.#acknowledge(batch));
  readonly #trimmer: Trimmer | undefined;
  #hasAckDelete = true;

  constructor(given: GroupEntriesOptions) {
    const { connections, options } = given;
    this.#connections = connections;
    this.#client = connections.client;
    this.#options = options;
    this.#key = options.name;
    this.#group = options.group as string;
    this.#consumer = given.consumer;
    this.#parkedKey = given.parkedKey;
    this.#pausesKey = given.pausesKey;
    this.#report = given.report;
    this.#onGone = given.onGone;
    this.#pauses = new Pauses(given.gate);
    this.#onAgain = given.onAgain;
    this.#onParked = given.onParked;
    const { maxlen } = options;
    if (maxlen !== undefined)
      this.#trimmer = new Trimmer(connections, options, maxlen, given.report);
  }

  get size(): number {
    return this.#states.size;
  }

  /** Those that must not become somebody else's. */
  ids(): string[] {
    return [...this.#states].flatMap(([id, state]) => (state === 'returning' ? [] : [id]));
  }

  has(id: string): boolean {
    return this.#states.has(id);
  }

  /** Whether this process knows of the entry: it has it in hand, or has abandoned it. */
  knows(id: string): boolean {
    return this.#states.has(id) || this.#abandoned.has(id);
  }

  /** An entry that was fetched. */
  add(id: string): void {
    this.#states.set(id, 'held');
    if (this.#abandoned.size > 0) this.#abandoned.delete(id);
  }

  /** No pause ends here any more. */
  stop(): void {
    this.#pauses.stop();
  }

  /** Resolves when no acknowledgement is under way, and the stream is trimmed. */
  async settled(): Promise<void> {
    await this.#acks.settled();
    await this.#trimmer?.finish();
  }

  /**
   * Gives back those that are held and not settled, in order of their ids: what has not begun, and `paused`,
   * which were delivered and are to come again. Rejects where the server refuses; they are still held then.
   */
  async giveBack(deliveries: readonly Delivery[], paused: readonly Delivery[] = []): Promise<void> {
    const unstarted = deliveries.filter(({ id }) => this.#states.get(id as string) === 'held');
    const leaving = [
      ...unstarted.map((one) => ({ id: one.id as string, count: one.count - 1 })),
      ...paused.map((one) => ({ id: one.id as string, count: one.count })),
    ].sort((a, b) => compareIds(a.id, b.id));
    if (leaving.length === 0) return;
    for (const { id } of leaving) this.#states.set(id, 'returning');
    try {
      for (let i = 0; i < leaving.length; i += CHUNK) {
        const pairs = leaving.slice(i, i + CHUNK).flatMap(({ id, count }) => [id, count]);
        const args = [this.#group, this.#consumer(), GIVEN_BACK, ...pairs];
        await GIVE_BACK.run(this.#client, [this.#key], args);
      }
    } catch (error) {
      for (const { id } of leaving) this.#states.set(id, 'held');
      throw error;
    }
    for (const { id } of leaving) this.#states.delete(id);
  }

  /**
   * Delivers these again, which a consumer of this name has left: those that are still its own, with what is left of
   * their pauses. The first delivery is counted now, as XREADGROUP counts it; the others when they begin.
   */
  async deliverPending(
    rows: readonly PendingRow[],
    run: Send,
  ): Promise<(Claimed & { readonly pause: number | undefined })[]> {
    const counts = new Map(rows.map(({ id, count }) => [id, count + 1]));
    const pairs = rows.flatMap(({ id, count }) => [id, Math.max(1, count)]);
    const args = [this.#group, this.#consumer(), ...pairs];
    const all = entries(await DELIVER_AGAIN.run(this.#client, [this.#key], args, run));
    return this.withPauses(all.map((entry) => ({ entry, count: counts.get(idOf(entry)) ?? 2 })));
  }

  /** Adds the milliseconds that each of these entries still pauses, with lanes: its last consumer ended meanwhile. */
  async withPauses(
    all: readonly Claimed[],
  ): Promise<(Claimed & { readonly pause: number | undefined })[]> {
    if (this.#pausesKey === undefined || all.length === 0)
      return all.map((one) => ({ ...one, pause: undefined }));
    const ids = all.map(({ entry }) => idOf(entry));
    const left = (await PAUSES_LEFT.run(this.#client, [this.#pausesKey], ids)) as number[];
    return all.map((one, i) => ({ ...one, pause: left[i] ?? 0 }));
  }

  /** The handling of an entry begins: see {@link Source.begins}. */
  async begins(delivery: Delivery): Promise<boolean> {
    const id = delivery.id as string;
    const args = [this.#group, this.#consumer(), id, delivery.count];
    const done = await insist(
      this.#connections,
      () => DELIVER_AGAIN.run(this.#client, [this.#key], args),
      reporting(this.#report, `entry ${id} cannot be counted as delivered yet, it is tried again`, {
        delivery,
      }),
    );
    if (done === undefined) return false;
    const [entry] = entries(done.value);
    if (entry === undefined) {
      // It is somebody else's, acknowledged or deleted.
      this.#states.delete(id);
      this.#onGone(delivery);
      return false;
    }
    // The last handler may have changed the bytes that it got.
    (delivery as { frame: Delivery['frame'] }).frame = frameOf(entry[1] ?? []);
    return true;
  }

  ack(settled: Delivery, handled?: Handled): Promise<void> | undefined {
    const id = settled.id as string;
    const state = this.#states.get(id);
    if (state === undefined ? !this.#abandoned.delete(id) : isGoing(state)) return undefined;
    if (state === 'paused') this.#pauses.delete(settled);
    this.#states.set(id, 'leaving');
    if (handled !== undefined) this.#handled.set(id, handled);
    return this.#acks.add(id);
  }

  nack(settled: Delivery, delay: number, isCounted: boolean): void {
    const id = settled.id as string;
    if (this.#states.get(id) !== 'held') return;
    this.#states.set(id, 'paused');
    const waiting = refused(settled, isCounted);
    const longest = longestPause(this.#options.minIdle);
    const isOrdered = this.#pausesKey !== undefined;
    if (isOrdered) void this.#notePause(this.#pausesKey, waiting, delay);
    if (!isOrdered && (delay > longest || this.#pauses.size >= MAX_WAITING))
      void this.#park(waiting, delay);
    else this.#pauses.add(waiting, delay, () => this.#deliverAgain(waiting));
  }

  abandon(left: Delivery): void {
    const id = left.id as string;
    const state = this.#states.get(id);
    if (state === undefined || isGoing(state)) return;
    this.#pauses.delete(left);
    this.#states.delete(id);
    this.#abandoned.add(id);
  }

  /** Gives back what has not begun, and parks what waits for its next delivery; with lanes, that goes back, too. */
  async leave(unstarted: readonly Delivery[]): Promise<void> {
    const waiting = this.#pauses.drain();
    if (this.#pausesKey !== undefined)
      return this.giveBack(
        unstarted,
        waiting.map(([one]) => one),
      );
    const parked = waiting.map(([one, left]) => this.#park(one, left));
    await Promise.all([...parked, this.giveBack(unstarted)]);
  }

  /** The pause of a refused entry is over. */
  #deliverAgain(before: Delivery): void {
    this.#states.set(before.id as string, 'held');
    this.#onAgain({ ...before, count: before.count + 1, comesAgain: true });
  }

  /** Tells whoever reads the entry next, if this consumer ends before, how long it pauses. */
  async #notePause(pausesKey: string, { id, count }: Delivery, delay: number): Promise<void> {
    const { keyLife } = this.#connections.timings;
    const args = [this.#group, this.#consumer(), keyLife, id as string, count, Math.ceil(delay)];
    await insist(
      this.#connections,
      () => NOTE_PAUSE.run(this.#client, [this.#key, pausesKey], args),
      (error) =>
        this.#report(`the pause of entry ${id} is not saved yet, it is tried again`, error),
      () => this.#states.get(id as string) !== 'paused',
    );
  }

  /** Keeps an entry on the server until its next delivery. */
  async #park(settled: Delivery, delay: number): Promise<void> {
    const id = settled.id as string;
    const keys = [this.#key, this.#parkedKey];
    const { keyLife } = this.#connections.timings;
    const args = [
      this.#group,
      this.#consumer(),
      PARKED,
      keyLife,
      id,
      settled.count,
      Math.ceil(delay),
    ];
    const done = await insist(
      this.#connections,
      () => PARK.run(this.#client, keys, args),
      reporting(this.#report, `entry ${id} cannot be kept for later yet, it is tried again`, {
        delivery: settled,
      }),
      () => this.#states.get(id) !== 'paused',
    );
    if (done === undefined || this.#states.get(id) !== 'paused') return;
    this.#states.delete(id);
    this.#onParked(delay);
  }

  async #acknowledge(ids: readonly string[]): Promise<void> {
    const done = await insist(
      this.#connections,
      async () => {
        for (let i = 0; i < ids.length; i += CHUNK) await this.#tell(ids.slice(i, i + CHUNK));
      },
      reporting(this.#report, NOT_ACKNOWLEDGED, { unacknowledged: ids.length }),
    );
    // The connection is over, and whoever waits must not take it for done.
    if (done === undefined) return new Promise(() => undefined);
    for (const id of ids) this.#states.delete(id);
    if (this.#handled.size > 0) for (const id of ids) this.#handled.delete(id);
    await this.#trimmer?.acknowledged();
  }

  /** XACK. Where entries are to be deleted: XACKDEL (Redis 8.2), or a script. */
  async #tell(all: readonly string[]): Promise<void> {
    const ids = this.#handled.size === 0 ? all : await this.#tellHandled(all);
    if (ids.length === 0) return;
    if (!this.#options.deleteOnAck) {
      await this.#client.xack(this.#key, this.#group, ...ids);
      return;
    }
    if (this.#hasAckDelete) {
      try {
        const args = [this.#key, this.#group, 'ACKED', 'IDS', ids.length, ...ids];
        await this.#client.call('XACKDEL', ...args);
        return;
      } catch (error) {
        if (!/unknown command|NOPERM/.test(messageOf(error))) throw error;
        this.#hasAckDelete = false;
      }
    }
    await ACK_AND_DELETE.run(this.#client, [this.#key], [this.#group, ...ids]);
  }

  /** Acknowledges those that are to be remembered as handled; returns the others. */
  async #tellHandled(ids: readonly string[]): Promise<string[]> {
    const { name, group, deleteOnAck } = this.#options;
    const marked = ids.flatMap((id) => {
      const handled = this.#handled.get(id);
      return handled === undefined ? [] : [{ id, handled }];
    });
    if (marked.length > 0) {
      const keys = marked.map(({ handled }) => handledKey({ name, group, id: handled.id }));
      const script = deleteOnAck ? ACK_HANDLED_AND_DELETE : ACK_HANDLED;
      // All of one subscriber are remembered for the same time.
      const life = Math.ceil(marked[0]?.handled.life as number);
      const args = [this.#group, ...marked.map(({ id }) => id), life];
      await script.run(this.#client, [this.#key, ...keys], args);
    }
    return ids.filter((id) => !this.#handled.has(id));
  }
}

function isGoing(state: State): boolean {
  return state === 'leaving' || state === 'returning';
}
