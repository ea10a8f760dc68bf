import type { Target } from './address.ts';
import type { Delivery, StreamSourceOptions } from './source.ts';
import type { Trimming } from './trimming.ts';

/** The keyed half of a transport: what lies under a name, looked at and kept without a subscription. */
export interface Store {
  /**
   * What lies in a list or stream, oldest first, without taking it: up to `max`, after the one whose
   * id is `after`. The ids of a list's items are their places, from 0.
   */
  peek(from: Target, after: string | undefined, max: number): Promise<Delivery[]>;
  /** Deletes a delivery that `peek` returned; false where it is gone. */
  remove(from: Target, delivery: Delivery): Promise<boolean>;
  /** How many a list or stream holds. */
  count(from: Target): Promise<number>;
  /** Appends a frame to those kept under a name, all of which live for `life` milliseconds from now. */
  keep(name: string, frame: Uint8Array, life: number): Promise<void>;
  /** Takes what was kept under a name, in order. */
  collect(name: string): Promise<Buffer[]>;
  /** Whether any group reads the stream. */
  hasGroups(stream: string): Promise<boolean>;
  /** How far a group has come; rejects where the stream has no such group. With `maxlen`, also how far it can be trimmed. */
  groupState(of: ReadGroup): Promise<GroupState>;
  /** All groups of a stream, by name; none where there is no such stream. */
  groups(stream: string): Promise<GroupSummary[]>;
  /** Has a group go on after this id, `$` for the last one; false where there is no such group. */
  seekGroup(stream: string, group: string, id: string): Promise<boolean>;
  /** Removes a group, with what is pending in it; false where there is no such group. */
  removeGroup(stream: string, group: string): Promise<boolean>;
}

/** What the server says of itself and of what lies beside our lists. */
export interface ServerState {
  /** How many items of a reliable list wait on the server for their next delivery, and no process holds them. */
  parked(list: string): Promise<number>;
  /** Whether it refuses what is sent, because its memory is used up. */
  isFull(): Promise<boolean>;
}

/** A group, and how its stream is trimmed. */
export type ReadGroup = Pick<StreamSourceOptions, 'name' | 'group' | 'maxlen' | 'trimPast'>;

export interface GroupSummary extends GroupState {
  readonly name: string;
  /** The id of the last entry that was delivered to it. */
  readonly lastId: string;
}

export interface GroupState {
  /** Entries that are delivered and not acknowledged. */
  readonly pending: number;
  /** Entries that are not delivered yet; undefined where the server does not know (before Redis 7, after deletions). */
  readonly lag: number | undefined;
  /** Undefined where nobody counts them: in memory. */
  readonly consumers: number | undefined;
  /** Undefined where it is not trimmed by `maxlen`. */
  readonly trimming?: Trimming | undefined;
}
