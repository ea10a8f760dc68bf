import type { HeadersInput } from '../message/headers.ts';
import type { InputOf, OutputOf, Schema } from '../message/schema.ts';
import type { Contract, ErrorSchemas, EventContract, RpcContract } from './contract.ts';
import type { Message } from './message.ts';

export interface ChannelDestination {
  /** PUBLISH to this channel. */
  channel: string;
  /**
   * SPUBLISH, for subscribers with `sharded`: on a cluster, one node gets the message instead of
   * all. Needs Redis 7. Default false.
   */
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

/** Where a message is sent: a channel, a list or a stream. */
export type Destination = ChannelDestination | ListDestination | StreamDestination;

/** Where the answer to a `publish` with `replyTo` is sent: a channel's name, a channel, a list or a stream. */
export type ReplyDestination =
  | string
  | { channel: string; list?: never; stream?: never }
  | { list: string; channel?: never; stream?: never }
  | { stream: string; channel?: never; list?: never };

export interface MessageOptions {
  /** Strings, numbers and booleans; sent as text of at most 65 535 bytes each. */
  headers?: HeadersInput;
  /** Default: a new id; for `ctx.publish` in a handler, the id of the handled message. */
  correlationId?: string;
}

/** Options of a publish that waits for no answer. */
export interface PublishOptions extends MessageOptions {
  /** The handler sends its answer there. Default: no answer. */
  replyTo?: ReplyDestination;
  rpc?: false;
  timeout?: never;
  signal?: never;
  reply?: never;
}

/** Options of a call. */
export interface CallOptions<R extends Schema = Schema> extends MessageOptions {
  /** Milliseconds to wait for the answer; `null`: no limit. Default: the broker's `rpc.timeout`, 30 000. */
  timeout?: number | null;
  /** Cancels the call when it aborts: the call rejects with its reason, and the handler's `ctx.signal` aborts. */
  signal?: AbortSignal;
  /** Schema of the answer. If the answer does not fit, the call rejects with `InvalidMessageError`. */
  reply?: R;
  replyTo?: never;
}

/** Options of a publish that waits for the handler's answer. */
export interface RpcOptions<R extends Schema = Schema> extends CallOptions<R> {
  rpc: true;
}

/** The options of a call that its contract does not set. */
export type ContractCallOptions = Omit<CallOptions, 'reply' | 'replyTo'>;

/** Options of a call that is answered with a stream. */
export interface RequestManyOptions<R extends Schema = Schema> extends MessageOptions {
  /** Milliseconds for the whole stream; `null`: no limit. Default: `null`. */
  timeout?: number | null;
  /** Milliseconds to wait for each item; `null`: no limit. Default: the broker's `rpc.timeout`, 30 000. */
  itemTimeout?: number | null;
  /** How many items may be sent and not read yet; then the handler's generator pauses. Default 64. */
  window?: number;
  /** Cancels the stream when it aborts: the next read rejects with its reason. */
  signal?: AbortSignal;
  /** Schema of each item. If an item does not fit, reading it rejects with `InvalidMessageError`. */
  reply?: R;
  replyTo?: never;
  rpc?: never;
}

/** Options of a request to all subscribers of a channel. */
export interface GatherOptions<R extends Schema = Schema> extends MessageOptions {
  channel: string;
  /** SPUBLISH, for subscribers with `sharded`. Needs Redis 7. Default false. */
  sharded?: boolean;
  /**
   * Milliseconds to wait for all answers; then those that have arrived are the result. `null`: no
   * limit. Default: the broker's `rpc.timeout`, 30 000.
   */
  timeout?: number | null;
  /** Resolves as soon as this many answers have arrived. Default: all. */
  max?: number;
  signal?: AbortSignal;
  reply?: R;
}

/** The result of `gather`. */
export interface GatherResult<T = unknown> {
  /** In the order of arrival. */
  readonly answers: readonly Message<T>[];
  /** One for each handler that failed, and for each answer that does not fit `reply`. */
  readonly errors: readonly Error[];
  /** The number of connections that received the request, as PUBLISH returned it. */
  readonly expected: number;
  /** The responders that did not answer in time, by host and process id; `unknown` for one that did not send its name. */
  readonly missing: readonly string[];
}

/** The methods that send messages and make calls, which brokers have. */
export interface Publishing {
  /**
   * Makes a call by its contract, and resolves with the answer's value. Rejects with
   * `InvalidMessageError` if the request does not fit.
   */
  publish<Q extends Schema, A extends Schema, E extends ErrorSchemas>(
    body: InputOf<Q>,
    contract: RpcContract<Q, A, E, false>,
    options?: ContractCallOptions,
  ): Promise<OutputOf<A>>;
  /** Sends a message by its contract. Resolves with receivers, length or id. */
  publish<S extends Schema>(
    body: InputOf<S>,
    contract: EventContract<S>,
    options?: MessageOptions,
  ): Promise<number | string>;
  /**
   * Calls a handler and resolves with the value that it returned. Rejects with `RemoteError` if the
   * handler failed, else with `RpcError`, `RpcTimeoutError`, `NoRespondersError`, `OverloadedError`,
   * `SendError` or `BrokerClosedError`.
   */
  publish<R extends Schema>(
    body: unknown,
    to: Destination & RpcOptions<R> & { reply: R },
  ): Promise<OutputOf<R>>;
  publish<T = unknown>(body: unknown, to: Destination & RpcOptions): Promise<T>;
  /**
   * Sends to a channel (PUBLISH; a string is a channel's name). Resolves with the number of
   * receivers. Rejects with `SendError`.
   */
  publish(body: unknown, to: string | (ChannelDestination & PublishOptions)): Promise<number>;
  /** Appends to a list (RPUSH). Resolves with the length of the list. Rejects with `SendError`. */
  publish(body: unknown, to: ListDestination & PublishOptions): Promise<number>;
  /** Adds to a stream (XADD). Resolves with the id of the entry. Rejects with `SendError`. */
  publish(body: unknown, to: StreamDestination & PublishOptions): Promise<string>;

  /** Makes a call by its contract, and resolves with the whole answering message. */
  request<Q extends Schema, A extends Schema, E extends ErrorSchemas>(
    body: InputOf<Q>,
    contract: RpcContract<Q, A, E, false>,
    options?: ContractCallOptions,
  ): Promise<Message<OutputOf<A>>>;
  /** Like `publish` with `rpc: true`, but resolves with the whole answering message. */
  request<R extends Schema>(
    body: unknown,
    to: Destination & CallOptions<R> & { reply: R },
  ): Promise<Message<OutputOf<R>>>;
  request<T = unknown>(
    body: unknown,
    to: string | (Destination & CallOptions),
  ): Promise<Message<T>>;

  /** Makes a call by its contract, and reads the streamed answer. */
  requestMany<Q extends Schema, A extends Schema, E extends ErrorSchemas>(
    body: InputOf<Q>,
    contract: RpcContract<Q, A, E, true>,
    options?: Omit<RequestManyOptions, 'reply'>,
  ): AsyncIterableIterator<OutputOf<A>, undefined>;
  /**
   * Calls a handler that answers with a stream (an `async function*`), and reads its items. The
   * request is sent when the first item is read. Leaving the loop ends the handler's generator.
   * Reading rejects with the errors of a call, and with `StreamBrokenError` if items were lost.
   */
  requestMany<R extends Schema>(
    body: unknown,
    to: Destination & RequestManyOptions<R> & { reply: R },
  ): AsyncIterableIterator<OutputOf<R>, undefined>;
  requestMany<T = unknown>(
    body: unknown,
    to: Destination & RequestManyOptions,
  ): AsyncIterableIterator<T, undefined>;

  /**
   * Sends a request to all subscribers of a channel (PUBLISH). Resolves with their answers, their
   * errors, and who did not answer in time.
   */
  gather<R extends Schema>(
    body: unknown,
    to: GatherOptions<R> & { reply: R },
  ): Promise<GatherResult<OutputOf<R>>>;
  gather<T = unknown>(body: unknown, to: GatherOptions): Promise<GatherResult<T>>;

  /**
   * Sends many messages in one round trip. Resolves with the length of the list, the ids in the
   * stream, or the receivers of each. Rejects with `SendError`.
   */
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

/** One function for each contract, typed by it. */
export type ContractClient<Contracts extends Readonly<Record<string, unknown>>> = {
  readonly [Name in keyof Contracts]: Contracts[Name] extends RpcContract<
    infer Q,
    infer A,
    infer _E,
    infer S
  >
    ? S extends true
      ? (
          body: InputOf<Q>,
          options?: Omit<RequestManyOptions, 'reply'>,
        ) => AsyncIterableIterator<OutputOf<A>, undefined>
      : (body: InputOf<Q>, options?: ContractCallOptions) => Promise<OutputOf<A>>
    : Contracts[Name] extends EventContract<infer S>
      ? (body: InputOf<S>, options?: MessageOptions) => Promise<number | string>
      : never;
};

/** What a handler's context sends with: `ctx.publish` and its kin. */
export interface Sending extends Pick<
  Publishing,
  'publish' | 'request' | 'requestMany' | 'gather'
> {
  /** One typed function for each contract. */
  readonly clientFor: <Contracts extends Readonly<Record<string, Contract>>>(
    contracts: Contracts,
  ) => ContractClient<Contracts>;
}
