import { messageOf } from '../../../errors.ts';
import { monotonicTime } from '../../../internal/clock.ts';
import { deferred, pause, type Deferred } from '../../../internal/deferred.ts';
import { detached } from '../../../internal/detached.ts';
import { BlockingReader } from '../blocking-reader.ts';
import type { Connections } from '../connections.ts';
import type { BlockingRead } from './blocking-read.ts';

/** What a joint read ends with where it is not known whose fault an error is: each is to read by itself. */
export const READ_ALONE: unique symbol = Symbol('read alone');

/** Reads end together at multiples of this share of `timings.block`, so that idle ones do not end each other's all the time. */
const STEPS = 4;

/** After so many refusals in a row that are nobody's fault, those who wait are told. */
const MANY_REFUSALS = 5;

/** Milliseconds, times the refusals in a row, before the command is sent again. */
const PAUSE_AFTER_REFUSAL = 20;

interface Member extends Deferred<unknown> {
  readonly read: BlockingRead;
  /** When it ends with nothing. */
  readonly until: number;
  /** It is to end as soon as it can. */
  isLeaving: boolean;
}

/**
 * One blocking command for the reads of many sources that have found nothing, on a connection of its own.
 * When another source joins, CLIENT UNBLOCK ends the command, and it is sent again with all of them.
 */
export class JointRead {
  readonly #connections: Connections;
  readonly #onReconnect: () => void;
  readonly #onRest: () => void;
  /** By key, those that were served last at the end. */
  readonly #members = new Map<string, Member>();
  #reader: BlockingReader | undefined;
  #isReading = false;
  /** Others are to be read than those that are named in the command. */
  #isStale = false;
  #cutting: NodeJS.Immediate | undefined;
  /** Commands that the server has refused in a row. */
  #refused = 0;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #isOver = (): boolean => this.#isStale;

  /** `onRest` is called when nobody has waited for a while, and it is closed. */
  constructor(connections: Connections, onReconnect: () => void, onRest: () => void) {
    this.#connections = connections;
    this.#onReconnect = onReconnect;
    this.#onRest = onRest;
  }

  /** Waits for the first of what `read` asks for. Resolves with the reply to it, with `null` at `end` or somewhat sooner, or {@link READ_ALONE}. */
  join(read: BlockingRead, end: number): Promise<unknown> {
    const { block } = this.#connections.timings;
    const step = block / STEPS;
    const until = read.wait < block ? end : Math.floor(end / step) * step;
    const member: Member = { ...deferred<unknown>(), read, until, isLeaving: false };
    this.#members.set(read.key, member);
    this.#change();
    if (!this.#isReading) void detached(() => this.#readOn());
    return member.promise;
  }

  /** Has the read of a key end as soon as it can: with what it has fetched, or with `null`. */
  leave(key: string): void {
    const member = this.#members.get(key);
    if (member === undefined) return;
    member.isLeaving = true;
    this.#change();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    clearImmediate(this.#cutting);
    this.#reader?.close();
  }

  /** Ends the command that blocks, once for all that change in this tick. */
  #change(): void {
    this.#isStale = true;
    this.#cutting ??= setImmediate(() => {
      this.#cutting = undefined;
      if (!this.#isStale) return;
      this.#reader?.wake();
      void this.#reader?.interrupt();
    });
  }

  async #readOn(): Promise<void> {
    this.#isReading = true;
    clearTimeout(this.#idle);
    // Those that join in this tick are read together.
    await nextTurn();
    while (this.#members.size > 0 && !this.#isClosed) await this.#read();
    for (const key of this.#members.keys()) this.#settle(key, null);
    this.#isReading = false;
    this.#idle = setTimeout(() => this.#rest(), 2 * this.#connections.timings.block).unref();
  }

  /** Sends one command, and settles those that are done. */
  async #read(): Promise<void> {
    this.#isStale = false;
    const now = monotonicTime();
    this.#endThoseThatAreDone(now);
    const asked = [...this.#members.values()];
    const reads = asked.map(({ read }) => read);
    const [first] = reads;
    if (first?.together === undefined) return;
    const until = Math.min(...asked.map((member) => member.until));
    try {
      this.#reader ??= await this.#open(first.key);
      const command = first.together(reads, Math.max(1, Math.ceil(until - now)));
      const reply = await this.#reader.run(...command, this.#isOver);
      if (reply !== null || !this.#isStale) this.#refused = 0;
      if (reply === null) return;
      for (const [key, part] of first.split(reply)) this.#settle(key, part);
      // Their handlers run first, and those that are done at once join again.
      await nextTurn();
    } catch (error) {
      await this.#fail(reads, error);
    }
  }

  #settle(key: string, reply: unknown): void {
    this.#members.get(key)?.resolve(reply);
    this.#members.delete(key);
  }

  #endThoseThatAreDone(now: number): void {
    for (const [key, { until, isLeaving }] of this.#members)
      if (isLeaving || until - now < 1) this.#settle(key, null);
  }

  async #fail(reads: readonly BlockingRead[], error: unknown): Promise<void> {
    const isRefusal = (error as Error).name === 'ReplyError';
    if (isRefusal && ++this.#refused > 1)
      await pause(Math.min(this.#refused, MANY_REFUSALS) * PAUSE_AFTER_REFUSAL);
    // An error does not say which key it is about. Whoever is at fault meets it when it reads alone. Where
    // nobody does, the command itself is refused.
    const isUnclear =
      isRefusal && (this.#refused < MANY_REFUSALS || messageOf(error).startsWith('WRONGTYPE'));
    for (const { key } of reads) {
      if (isUnclear) this.#settle(key, READ_ALONE);
      else this.#members.get(key)?.reject(error);
      this.#members.delete(key);
    }
  }

  async #open(key: string): Promise<BlockingReader> {
    const reader = await BlockingReader.open(this.#connections, key);
    reader.onReconnect = this.#onReconnect;
    if (this.#isClosed) reader.close();
    return reader;
  }

  #rest(): void {
    if (this.#isReading) return;
    this.close();
    this.#onRest();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
