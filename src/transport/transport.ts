import { SetupError } from '../errors.ts';
import type { Target } from './address.ts';

/** What a transport must be able to do. It moves bytes and knows no message; Redis and memory both implement it. */
export interface Transport {
  /** Milliseconds that the connection has been down for; 0 while it stands, as far as is known. */
  readonly downFor: number;
  /** False where a channel's receivers cannot be counted: a cluster's PUBLISH counts one node's. See {@link counts}. */
  readonly countsReceivers: boolean;
  /** Connects, or throws a `ConnectionError` that names the server and the cause. */
  connect(): Promise<void>;
  /** Receivers of a channel, length of a list, id of a stream's entry. */
  send(to: Target, frame: Uint8Array | StreamFields): Promise<number | string>;
  /** The same without a promise, for what is sent with every message; `receipt` may be told before this returns. */
  post(to: Target, frame: Uint8Array, receipt: Receipt): void;
  /** The same for many frames, in order and in one round trip. */
  sendBatch(to: Target, frames: readonly Uint8Array[]): Promise<number | number[] | string[]>;
  /** For any targets, written together; each fares for itself. As a `transaction` nothing comes between them, and where the server takes one for a mistake none is carried out: then it rejects. */
  sendAll(
    outbound: readonly Outbound[],
    transaction: boolean,
  ): Promise<PromiseSettledResult<number | string>[]>;
  /** Opens a subscription; resolves when the server has confirmed it. */
  open(source: SourceOptions, report: Report): Promise<Source>;
  /** Listens to one channel, confirmed before it resolves and, with a call of `onRestored`, after every reconnect. */
  listen(
    channel: string,
    onFrame: (frame: Buffer) => void,
    onRestored: () => void,
  ): Promise<Listener>;
  /** What lies in a list or stream, oldest first, without taking it: up to `max`, after the one with an id. A list's ids are places, from 0. */
  peek(from: Target, after: string | undefined, max: number): Promise<Delivery[]>;
  /** Deletes one that was peeked at; false where it is gone. */
  remove(from: Target, delivery: Delivery): Promise<boolean>;
  /** How many a list or stream holds. */
  count(from: Target): Promise<number>;
  /** Keeps a frame under a name for `life` milliseconds, for somebody who cannot be reached. */
  keep(name: string, frame: Uint8Array, life: number): Promise<void>;
  /** Whether any group reads the stream. */
  hasGroups(stream: string): Promise<boolean>;
  /** How far a group has come; rejects where it cannot be told. */
  groupState(stream: string, group: string): Promise<GroupState>;
  /** What to do about an error of a source that will not pass by itself; undefined where trying again helps. */
  adviceOn(error: unknown): string | undefined;
  /** Takes what was kept under a name, in order. */
  collect(name: string): Promise<Buffer[]>;
  /** Resolves when everything sent and acknowledged so far has been answered by the server. */
  flush(): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** A frame on its way out. */
export interface Outbound {
  readonly to: Target;
  readonly frame: Uint8Array;
}

/** Who is told what became of a frame that was sent. */
export interface Receipt {
  /** Receivers of a channel, length of a list, id of a stream's entry. */
  sent(reply: number | string): void;
  refused(error: unknown): void;
}

/** Fields and values of a stream entry that is no frame of ours, in turn. */
export type StreamFields = readonly Uint8Array[];

/** A place that messages come from, pulled in batches. */
export interface Source {
  /** Whether `close` can give deliveries back; a channel's are lost unless they are handled. */
  readonly takesBack: boolean;
  /** Whether deliveries are acknowledged: those of stream groups and reliable lists. */
  readonly settles: boolean;
  /** Why nothing arrives just now, where the source knows and `read` waits for it to pass. */
  readonly trouble?: string | undefined;
  /** What has arrived without being asked for: channels only. */
  readonly backlog?: Backlog;
  /** At least one and at most `max` deliveries, waiting for the first; none once stopped. Throws on trouble, and may then be called again. */
  read(max: number): Promise<Delivery[]>;
  /** Ends a waiting `read` and fetches no more. */
  stop(): Promise<void>;
  /** Closes for good; `unstarted` deliveries go back to where they came from. */
  close(unstarted: readonly Delivery[]): Promise<void>;
  /** Settles a delivery; does nothing where nothing is acknowledged. */
  ack(delivery: Delivery): Promise<void> | undefined;
  /** Leaves it pending and delivers it again after `delay` milliseconds. */
  nack(delivery: Delivery, delay: number): void;
  /** Forgets it here and leaves it pending on the server. */
  abandon(delivery: Delivery): void;
}

/** Messages that were pushed to us. */
export interface Backlog {
  /** Arrived and not taken by `read` yet. */
  readonly waiting: number;
  /** Found no room, ever. */
  readonly dropped: number;
  /** Milliseconds since the last one was dropped. */
  readonly droppedAgo: number;
}

export interface GroupState {
  /** Delivered and not acknowledged. */
  readonly pending: number;
  /** Not delivered yet; undefined where the server does not know (before Redis 7, after deletions). */
  readonly lag: number | undefined;
  /** Undefined where nobody counts them: in memory. */
  readonly consumers: number | undefined;
}

/** What `read` throws, after waiting for a while, where the connection is down. The next `read` goes on waiting. */
export class DisconnectedError extends Error {}

export interface Listener {
  /** Resolves once the subscription is confirmed on the current connection. */
  ready(): Promise<void> | undefined;
  close(): Promise<void>;
}

/** Trouble that nobody is waiting for, or its end: where, and what. `level` is `warn` unless it is said. */
export type Report = (problem: string, error: unknown, level?: 'info' | 'warn' | 'error') => void;

export interface Delivery {
  /** The frame, or for a stream entry that is not ours its fields and values, in turn. */
  readonly frame: Buffer | readonly Buffer[];
  /** The concrete channel, list or stream. */
  readonly name: string;
  /** The stream entry. */
  readonly id: string | undefined;
  /** How often it has been delivered to its group, this time included. Of a list's item only the deliveries by this source are known. */
  readonly count: number;
}

export type SourceOptions =
  | {
      readonly kind: 'channel';
      readonly name: string;
      readonly isPattern: boolean;
      /** Of the slot's node alone; a namespace of its own. */
      readonly sharded?: boolean | undefined;
    }
  | ListSourceOptions
  | StreamSourceOptions;

export interface ListSourceOptions {
  readonly kind: 'list';
  readonly name: string;
  /** Items stay on the server until they are acknowledged, and are given back when their source is gone. */
  readonly reliable: boolean;
}

export interface StreamSourceOptions {
  readonly kind: 'stream';
  readonly name: string;
  readonly group: string | undefined;
  /** Undefined: a name unique to this source, removed again when it closes owning nothing. */
  readonly consumer: string | undefined;
  /** Where reading starts, or where a group that is created here does. */
  readonly lastId: string | undefined;
  /** Create the stream where it is missing. */
  readonly declare: boolean;
  /** XREADGROUP NOACK: never pending. */
  readonly noAck: boolean;
  /** Milliseconds after which an entry that its consumer neither settles nor renews is taken over. */
  readonly minIdle: number;
  /** Delete entries as they are acknowledged. */
  readonly deleteOnAck: boolean;
  /** Trim the stream to about this many entries as they are acknowledged. */
  readonly maxlen: number | undefined;
}

/** What `open` rejects with where a stream is not there and must not be created. */
export function missingStream(name: string, cause?: unknown): SetupError {
  return new SetupError(
    `stream '${name}' does not exist and 'declare' is false: create it first, or leave 'declare' out`,
    { cause },
  );
}

/** Whether what `send` resolves with is all of a channel's receivers; a sharded channel's are all on one node. */
export function counts(transport: Transport, to: Target): boolean {
  return transport.countsReceivers || to.sharded === true;
}
