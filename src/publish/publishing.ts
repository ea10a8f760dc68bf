import type { HeadersInput } from '../message/headers.ts';
import type { Message } from '../message/message.ts';
import type { OutputOf, Schema } from '../message/schema.ts';

export interface ChannelDestination {
  /** PUBLISH to this channel. */
  channel: string;
  list?: never;
  stream?: never;
  maxlen?: never;
}

export interface ListDestination {
  /** RPUSH to this list. */
  list: string;
  channel?: never;
  stream?: never;
  maxlen?: never;
}

export interface StreamDestination {
  /** XADD to this stream. */
  stream: string;
  /** Keep about this many entries (`XADD … MAXLEN ~`). Default: all. */
  maxlen?: number;
  channel?: never;
  list?: never;
}

/** Where a message is sent: exactly one of the three. */
export type Destination = ChannelDestination | ListDestination | StreamDestination;

/** Where a plain publish wants its answer: a channel's name, or one of the three structures. */
export type ReplyDestination =
  | string
  | { channel: string; list?: never; stream?: never }
  | { list: string; channel?: never; stream?: never }
  | { stream: string; channel?: never; list?: never };

export interface MessageOptions {
  /** Text, numbers and booleans; sent as text, 65 535 bytes each at most. */
  headers?: HeadersInput;
  /** Default: a new id; in a handler, `ctx.publish` keeps the message's. */
  correlationId?: string;
}

/** Options of a publish that waits for nobody. */
export interface SendOptions extends MessageOptions {
  /** Have the handler's answer sent there. */
  replyTo?: ReplyDestination;
  rpc?: false;
  timeout?: never;
  signal?: never;
  reply?: never;
}

/** Options of a call. */
export interface CallOptions<R extends Schema = Schema> extends MessageOptions {
  /** Milliseconds to wait for the answer; `null` waits for ever. Default: the broker's `rpc.timeout`, 30 000. */
  timeout?: number | null;
  /** Gives up when it aborts: the call rejects with its reason at once, and the handler's `ctx.signal` aborts. */
  signal?: AbortSignal;
  /** Checks and types the answer; one that does not fit rejects with `InvalidMessageError`. */
  reply?: R;
  replyTo?: never;
}

/** Options of a publish that waits for the handler's answer. */
export interface RpcOptions<R extends Schema = Schema> extends CallOptions<R> {
  rpc: true;
}

/** Sending, as a broker, a publisher and a handler's context offer it. */
export interface Publishing {
  /**
   * Calls a handler and resolves with the value that it returned. Rejects with `RemoteError` where
   * the handler failed, `RpcTimeoutError`, `NoRespondersError`, `OverloadedError`,
   * `BrokerClosedError`; it always ends.
   */
  publish<R extends Schema>(
    body: unknown,
    to: Destination & RpcOptions<R> & { reply: R },
  ): Promise<OutputOf<R>>;
  publish<T = unknown>(body: unknown, to: Destination & RpcOptions): Promise<T>;
  /** Sends to a channel (a bare string is one) and resolves with the number of its receivers. */
  publish(body: unknown, to: string | (ChannelDestination & SendOptions)): Promise<number>;
  /** Appends to a list and resolves with its length. */
  publish(body: unknown, to: ListDestination & SendOptions): Promise<number>;
  /** Adds to a stream and resolves with the entry's id. */
  publish(body: unknown, to: StreamDestination & SendOptions): Promise<string>;

  /** Like a publish with `rpc: true`, but resolves with the whole answering message. */
  request<R extends Schema>(
    body: unknown,
    to: Destination & CallOptions<R> & { reply: R },
  ): Promise<Message<OutputOf<R>>>;
  request<T = unknown>(
    body: unknown,
    to: string | (Destination & CallOptions),
  ): Promise<Message<T>>;

  /** Sends many messages in one round trip: the length of the list, the ids in the stream, or the receivers of each. */
  publishBatch(bodies: readonly unknown[], to: ListDestination & SendOptions): Promise<number>;
  publishBatch(bodies: readonly unknown[], to: StreamDestination & SendOptions): Promise<string[]>;
  publishBatch(
    bodies: readonly unknown[],
    to: string | (ChannelDestination & SendOptions),
  ): Promise<number[]>;
}
