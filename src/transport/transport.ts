import type { Target } from './address.ts';
import type { Marks, Once } from './marks.ts';
import type { Sources } from './source.ts';
import type { ServerState, Store } from './store.ts';
import type { Later, Timed, Turn } from './timed.ts';

/** What a transport does: it moves bytes, and knows no message. Redis and memory both implement it. */
export interface Transport extends Sources, Store {
  readonly timed: Timed;
  /** Milliseconds since the connection was lost; 0 while it is up, as far as is known. */
  readonly downFor: number;
  /** False where a channel's receivers cannot be counted: a cluster's PUBLISH counts one node's. See {@link counts}. */
  readonly countsReceivers: boolean;
  /**
   * Whether answers can go over sharded channels, which cost one node of a cluster and not all. Known
   * once it is connected; false without a cluster.
   */
  readonly shardsAnswers: boolean;
  /** What is remembered of messages that are handled once, and of calls that are answered once. */
  readonly marks: Marks;
  readonly state: ServerState;
  /** Connects, or throws a `ConnectionError` that names the server and the cause. */
  connect(): Promise<void>;
  /** Calls `listener` when the connection is lost, and when it is up again. */
  onConnection(listener: (state: 'up' | 'down') => void): void;
  /** Sends one frame. Resolves with the receivers of a channel, the length of a list, or the id of a stream's entry. */
  send(to: Target, frame: Uint8Array | StreamFields): Promise<number | string>;
  /**
   * Sends one frame to a list or a stream, unless one with this id was sent there within its window.
   * Resolves with the id of the first one's entry, or the id itself for a list. Rejects with
   * `IdConflictError` where the first one has another digest. One script, so it may be sent again.
   */
  sendOnce(to: Target, frame: Uint8Array, once: Once, wish?: Wish): Promise<string>;
  /** `send` without a promise, for the hot path. `receipt` may be told before this returns. */
  post(to: Target, frame: Uint8Array, receipt: Receipt): void;
  /** Sends many frames to one target, in order and in one round trip. */
  sendBatch(to: Target, frames: readonly Uint8Array[]): Promise<number | number[] | string[]>;
  /**
   * Sends frames to any targets in one write; each settles on its own. With `transaction` no other
   * command runs between them (MULTI/EXEC). Where one goes to a key of another type, none is carried out;
   * where the server refuses one as it arrives, none is, and this rejects.
   */
  sendAll(
    outbound: readonly Outbound[],
    transaction: boolean,
  ): Promise<PromiseSettledResult<number | string>[]>;
  /** Resolves when the server has answered everything that was sent and acknowledged so far. */
  flush(): Promise<void>;
  /**
   * Calls `restored` each time that the subscriptions of channel sources stand again after a
   * reconnect, until the result is called. Those of `listen` are on a connection of their own.
   */
  onChannelsRestored(restored: () => void): () => void;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** A frame on its way out. */
export interface Outbound {
  readonly to: Target;
  readonly frame: Uint8Array;
  /** Sent once under its id; see {@link Transport.sendOnce}. */
  readonly once?: Once | undefined;
  /** Kept on the server until it is due. */
  readonly later?: Later | undefined;
  /** Sent unless it was, as one of a series. */
  readonly turn?: Turn | undefined;
}

/** Takes the server's answer to one frame. */
export interface Receipt extends Wish {
  /** Receivers of a channel, length of a list, id of a stream's entry. */
  sent(reply: number | string): void;
  refused(error: unknown): void;
}

/** Whether somebody still waits for a message to be sent. */
export interface Wish {
  /** False once nobody waits: a message that still waits for the connection is not sent. */
  isWanted?: boolean;
  /** Set by the transport: whether the message waits for the connection, and has not been sent. */
  isWaiting?: boolean;
}

/** Fields and values, in turn, of a stream entry that holds no frame. */
export type StreamFields = readonly Uint8Array[];

/** Whether `send` resolves with all receivers of a channel; those of a sharded channel are all on one node. */
export function counts(transport: Transport, to: Target): boolean {
  return transport.countsReceivers || to.sharded === true;
}

/** Sends one frame as it says: at once, once, or later. */
export function sendOutbound(
  transport: Pick<Transport, 'send' | 'sendOnce' | 'timed'>,
  { to, frame, once, later, turn }: Outbound,
): Promise<number | string> {
  if (turn !== undefined) return transport.timed.sendTurn(to, frame, turn).then(Number);
  if (later !== undefined) return transport.timed.sendLater(to, frame, later, once);
  return once === undefined ? transport.send(to, frame) : transport.sendOnce(to, frame, once);
}
