import { SetupError } from '../errors.ts';
import type { Delivery } from './delivery.ts';
import type { Lanes } from './lanes.ts';
import type { Rate } from './rate.ts';
import type { Handled } from './marks.ts';

export type { Delivery } from './delivery.ts';

/** The reading half of a transport: what it opens for those who wait for messages. */
export interface Sources {
  /**
   * Opens a subscription; resolves when the server has confirmed it. `report` gets the errors that no caller
   * waits for. With `lanes`, `read` returns one delivery of a lane at a time, pauses keep their entries
   * pending for this consumer, and `giveBack` also gives back what waits for its lane and ends a `read`
   * that waits, with nothing.
   */
  open(source: SourceOptions, report: Report, lanes?: Lanes): Promise<Source>;
  /**
   * Listens to one channel. Resolves when the server has confirmed the subscription; `onRestored` is
   * called each time that it is confirmed again after a reconnect. `isSharded`: the sharded channel of
   * this name is listened to, too.
   */
  listen(
    channel: string,
    onFrame: (frame: Buffer) => void,
    onRestored: () => void,
    isSharded?: boolean,
  ): Promise<Listener>;
  /** What to do about an error of a source that does not pass by itself; undefined where trying again helps. */
  adviceOn(error: unknown): string | undefined;
}

/** A place that messages come from, pulled in batches. */
export interface Source {
  /** Whether `close` can give unstarted deliveries back to the server; those of a channel would be lost. */
  readonly canReturn: boolean;
  /** Whether deliveries must be acknowledged: those of stream groups and reliable lists. */
  readonly needsAck: boolean;
  /** Why nothing can arrive at the moment, while `read` keeps waiting; undefined if nothing is known to be wrong. */
  readonly problem?: string | undefined;
  /** What has arrived without being asked for: channels only. */
  readonly backlog?: Backlog;
  /**
   * Deliveries in this process that are not acknowledged: fetched, running, waiting here for their next
   * delivery, or with an acknowledgement under way. What is parked on the server is not counted; 0
   * where nothing is acknowledged.
   */
  readonly held: number;
  /**
   * Whether something was fetched, or is being fetched, that no `read` waits for: others cannot have it until it is
   * read or given back. Absent where only this process reads, or nothing is fetched beside a `read`.
   */
  readonly hasUnread?: boolean;
  /**
   * Waits for the first delivery, and returns at least one and at most `max`; none once the source is
   * stopped. Throws what it cannot wait out, and may then be called again. While `isFull` says so, only
   * deliveries that come again are returned, and nothing new is fetched.
   */
  read(max: number, isFull?: IsFull): Promise<Delivery[]>;
  /** Ends a waiting `read`; nothing more is fetched. */
  stop(): Promise<void>;
  /** Stops and releases everything; the deliveries in `unstarted` go back to where they came from. */
  close(unstarted: readonly Delivery[]): Promise<void>;
  /**
   * Gives back deliveries whose handling has not begun, and what was fetched for a reader that does not
   * wait any more: they are not counted as delivered, and any consumer may take them, this one too.
   * Groups: XCLAIM with an idle time above every `minIdle`, and a notice to consumers that wait; lists:
   * to the head of the list, in order; a stream without a group is read again from there, and what came
   * over a channel waits in this process again. Rejects where the server refuses; the deliveries are then
   * still held.
   */
  giveBack(deliveries: readonly Delivery[]): Promise<void>;
  /**
   * Called before the handling of a delivery that comes again begins. The source counts the delivery on the server now,
   * and not when it is fetched or its pause ends: what only waits here spends no delivery when the process dies.
   * Resolves with whether the handling may begin: not where the message is somebody else's by now. Absent where no
   * delivery has `comesAgain`.
   */
  begins?(delivery: Delivery): Promise<boolean>;
  /**
   * Lists: names who has an item in hand, for the mark of a message that is handled once. Whoever gets the item
   * after its consumer has ended takes the mark at once. Undefined where the item is not held any more.
   */
  holderOf?(delivery: Delivery): string | undefined;
  /**
   * Acknowledges a delivery; undefined where nothing is acknowledged, or it is not held any more.
   * Resolves when the server has been told; a refusal is reported once, and it is told again until it
   * accepts. Never rejects, and stays pending where the connection ends before.
   * With `handled`, the same script remembers that the message was handled.
   */
  ack(delivery: Delivery, handled?: Handled): Promise<void> | undefined;
  /**
   * Delivers again after `delay` milliseconds, counted once more; with `isCounted` false the delivery that
   * was refused does not count. A long delay (groups: above `minIdle` or a minute, lists: above `expiry`),
   * those that wait at a `close` (of a list's, for more than 1 s), and all beyond the first 1 000 that wait
   * in this process are parked on the server: they outlive the process, and whoever reads then gets them.
   */
  nack(delivery: Delivery, delay: number, isCounted?: boolean): void;
  /** Forgets a delivery in this process, and leaves it pending on the server. */
  abandon(delivery: Delivery): void;
}

/** Whether so much waits in this process that nothing new is to be fetched. */
export type IsFull = () => boolean;

/** Deliveries of one source that wait in its process for their next delivery; those beyond wait on the server. */
export const MAX_WAITING = 1_000;

/** Items of a list whose pause is nearly over when their source closes go back to the list: milliseconds. */
export const SOON = 1_000;

/** The consumer of a group that holds what waits on the server for its next delivery. It never reads, and is never removed. */
export const PARKED = 'redstart:parked';

/** The longest pause, in milliseconds, that an entry of a group spends in a process: longer ones are parked. */
export function longestPause(minIdle: number): number {
  return Math.min(minIdle, 60_000);
}

/** Messages that were pushed to a source. */
export interface Backlog {
  /** Arrived and not taken by `read` yet. */
  readonly waiting: number;
  /** Dropped since the source was opened, because there was no room. */
  readonly dropped: number;
  /** Milliseconds since the last one was dropped; `Infinity` where none was. */
  readonly droppedAgo: number;
}

/** A channel that somebody listens to. */
export interface Listener {
  /** Resolves when the subscription is confirmed on the current connection; undefined where it is. */
  ready(): Promise<void> | undefined;
  close(): Promise<void>;
}

/** What a report is about, beyond its text. */
export interface About {
  /** Its one message. */
  readonly delivery?: Delivery;
  /** Acknowledgements that the server refused. */
  readonly unacknowledged?: number;
  /** More fields for the log line. */
  readonly fields?: object | undefined;
}

/** Takes a problem that no caller waits for, or the end of one. `level` is `warn` unless it is given. */
export type Report = (
  problem: string,
  error: unknown,
  level?: 'info' | 'warn' | 'error',
  about?: About,
) => void;

/** What a source reports of refused acknowledgements; their number is told beside it. */
export const NOT_ACKNOWLEDGED = 'messages could not be acknowledged, it is tried again';

/** A handler of errors that reports them. */
export function reporting(report: Report, problem: string, about: About): (error: unknown) => void {
  return (error) => report(problem, error, 'warn', about);
}

/** What `read` throws where the connection has been down for a while. The next `read` goes on waiting. */
export class DisconnectedError extends Error {}

export type SourceOptions = ChannelSourceOptions | ListSourceOptions | StreamSourceOptions;

export interface ChannelSourceOptions {
  readonly kind: 'channel';
  readonly name: string;
  /** PSUBSCRIBE: `name` is a glob. */
  readonly isPattern: boolean;
  /** SSUBSCRIBE: a sharded channel. Its names are apart from those of other channels. */
  readonly sharded?: boolean | undefined;
}

export interface ListSourceOptions {
  readonly kind: 'list';
  readonly name: string;
  /** Items stay on the server until they are acknowledged, and are given back when their consumer is gone. */
  readonly reliable: boolean;
  /** Deliveries for all readers together; undefined: no limit. */
  readonly rate?: Rate | undefined;
}

export interface StreamSourceOptions {
  readonly kind: 'stream';
  readonly name: string;
  readonly group: string | undefined;
  /** Undefined: a name unique to this source, which is removed on close where it has nothing pending. */
  readonly consumer: string | undefined;
  /** Where reading starts, or where a group that is created here starts. */
  readonly lastId: string | undefined;
  /** Create the stream where it is missing. */
  readonly declare: boolean;
  /** XREADGROUP NOACK: entries are never pending. */
  readonly noAck: boolean;
  /** Milliseconds after which an entry that its consumer neither settles nor renews is taken over. */
  readonly minIdle: number;
  /** Delete entries as they are acknowledged. */
  readonly deleteOnAck: boolean;
  /** Trim the stream to about this many entries as they are acknowledged. */
  readonly maxlen: number | undefined;
  /** Milliseconds of silence after which `maxlen` ignores what another group has not handled; undefined: never. */
  readonly trimPast?: number | undefined;
  /** Deliveries for all consumers of the group together; undefined: no limit. */
  readonly rate?: Rate | undefined;
}

/** What `open` rejects with where a stream does not exist and must not be created. */
export function missingStream(name: string, cause?: unknown): SetupError {
  return new SetupError(
    `stream '${name}' does not exist and 'declare' is false: create it first, or leave 'declare' out`,
    { cause },
  );
}

/** The order of a stream's ids. */
export function compareIds(a: string, b: string): number {
  const [time = 0, sequence = 0] = a.split('-').map(Number);
  const [otherTime = 0, otherSequence = 0] = b.split('-').map(Number);
  return time - otherTime || sequence - otherSequence;
}

/** The highest id of a stream below `id`. */
export function idBefore(id: string): string {
  const [time = '0', sequence = '0'] = id.split('-');
  if (BigInt(sequence) > 0n) return `${time}-${BigInt(sequence) - 1n}`;
  return `${BigInt(time) - 1n}-18446744073709551615`;
}

/** The lowest id of a stream above `id`. */
export function idAfter(id: string): string {
  const [time = '0', sequence = '0'] = id.split('-');
  return `${time}-${BigInt(sequence) + 1n}`;
}
