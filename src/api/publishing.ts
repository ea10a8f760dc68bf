import type { ErrorSchemas, EventContract, RpcContract } from './contract.ts';
import type { HeadersInput } from '../message/headers.ts';
import type { Message } from './message.ts';
import type { InputOf, OutputOf, Schema } from '../message/schema.ts';

export interface ChannelDestination {
  /** PUBLISH to this channel. */
  channel: string;
  /** SPUBLISH: to those who subscribed with `sharded`. On a cluster it loads one node and not all. Redis 7. Default false. */
  sharded?: boolean;
  list?: never;
  stream?: never;
  maxlen?: never;
}

export interface ListDestination {
  /** RPUSH to this list. */
  list: string;
  channel?: never;
  sharded?: never;
  stream?: never;
  maxlen?: never;
}

export interface StreamDestination {
  /** XADD to this stream. */
  stream: string;
  /** Keep about this many entries (`XADD … MAXLEN ~`). Default: all. */
  maxlen?: number;
  channel?: never;
  sharded?: never;
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
export interface PublishOptions extends MessageOptions {
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

/** Options of a call by contract, which says the rest. */
export type ContractCallOptions = Omit<CallOptions, 'reply' | 'replyTo'>;

/** Options of a call that is answered with a stream. */
export interface RequestManyOptions<R extends Schema = Schema> extends MessageOptions {
  /** Milliseconds for the whole stream. Default: none. */
  timeout?: number | null;
  /** Milliseconds that the next item may take; `null`: any time. Default: the broker's `rpc.timeout`. */
  itemTimeout?: number | null;
  /** Items that may be on their way or wait here; the handler's generator pauses at that. Default 64. */
  window?: number;
  /** Ends the stream when it aborts, with its reason. */
  signal?: AbortSignal;
  /** Checks and types each item. */
  reply?: R;
  replyTo?: never;
  rpc?: never;
}

/** Options of a question to all subscribers of a channel. */
export interface GatherOptions<R extends Schema = Schema> extends MessageOptions {
  channel: string;
  /** Ask those who subscribed with `sharded`. Default false. */
  sharded?: boolean;
  /** Milliseconds to wait for all; what has come by then is the result. Default: the broker's `rpc.timeout`. */
  timeout?: number | null;
  /** Enough answers. Default: all. */
  max?: number;
  signal?: AbortSignal;
  reply?: R;
}

/** Everything that came back from a question to all who listen. */
export interface GatherResult<T = unknown> {
  /** In the order they came. */
  readonly answers: readonly Message<T>[];
  /** Of responders whose handler failed, or whose answer did not fit `reply`. */
  readonly errors: readonly Error[];
  /** Connections that the question reached: PUBLISH's count. */
  readonly expected: number;
  /** Those that did not answer in time, by host and process; `unknown` for one that never said its name. */
  readonly missing: readonly string[];
}

/** Sending, as a broker, a publisher and a handler's context offer it. */
export interface Publishing {
  /** Calls what a contract describes: the request is checked, and the answer typed. */
  publish<Q extends Schema, A extends Schema, E extends ErrorSchemas>(
    body: InputOf<Q>,
    contract: RpcContract<Q, A, E, false>,
    options?: ContractCallOptions,
  ): Promise<OutputOf<A>>;
  /** Sends what a contract describes: receivers, length or id. */
  publish<S extends Schema>(
    body: InputOf<S>,
    contract: EventContract<S>,
    options?: MessageOptions,
  ): Promise<number | string>;
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
  publish(body: unknown, to: string | (ChannelDestination & PublishOptions)): Promise<number>;
  /** Appends to a list and resolves with its length. */
  publish(body: unknown, to: ListDestination & PublishOptions): Promise<number>;
  /** Adds to a stream and resolves with the entry's id. */
  publish(body: unknown, to: StreamDestination & PublishOptions): Promise<string>;

  /** Calls what a contract describes, and resolves with the whole answering message. */
  request<Q extends Schema, A extends Schema, E extends ErrorSchemas>(
    body: InputOf<Q>,
    contract: RpcContract<Q, A, E, false>,
    options?: ContractCallOptions,
  ): Promise<Message<OutputOf<A>>>;
  /** Like a publish with `rpc: true`, but resolves with the whole answering message. */
  request<R extends Schema>(
    body: unknown,
    to: Destination & CallOptions<R> & { reply: R },
  ): Promise<Message<OutputOf<R>>>;
  request<T = unknown>(
    body: unknown,
    to: string | (Destination & CallOptions),
  ): Promise<Message<T>>;

  /** Reads the stream that a contract describes. */
  requestMany<Q extends Schema, A extends Schema, E extends ErrorSchemas>(
    body: InputOf<Q>,
    contract: RpcContract<Q, A, E, true>,
    options?: Omit<RequestManyOptions, 'reply'>,
  ): AsyncIterableIterator<OutputOf<A>, undefined>;
  /**
   * Calls a handler that answers with a stream (an `async function*`) and reads it item by item.
   * Leaving the loop stops the handler's generator. Rejects like a call, and with
   * `StreamBrokenError` where items were lost.
   */
  requestMany<R extends Schema>(
    body: unknown,
    to: Destination & RequestManyOptions<R> & { reply: R },
  ): AsyncIterableIterator<OutputOf<R>, undefined>;
  requestMany<T = unknown>(
    body: unknown,
    to: Destination & RequestManyOptions,
  ): AsyncIterableIterator<T, undefined>;

  /** Asks every subscriber of a channel; resolves with all answers, or with those that came in time and who is missing. */
  gather<R extends Schema>(
    body: unknown,
    to: GatherOptions<R> & { reply: R },
  ): Promise<GatherResult<OutputOf<R>>>;
  gather<T = unknown>(body: unknown, to: GatherOptions): Promise<GatherResult<T>>;

  /** Sends many messages in one round trip: the length of the list, the ids in the stream, or the receivers of each. */
  publishBatch(bodies: readonly unknown[], to: ListDestination & PublishOptions): Promise<number>;
  publishBatch(
    bodies: readonly unknown[],
    to: StreamDestination & PublishOptions,
  ): Promise<string[]>;
  publishBatch(
    bodies: readonly unknown[],
    to: string | (ChannelDestination & PublishOptions),
  ): Promise<number[]>;
}
