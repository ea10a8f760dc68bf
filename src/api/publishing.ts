import type { InputOf, OutputOf, Schema } from '../message/schema.ts';
import type { Mistake } from '../internal/mistake.ts';
import type { Contract, EventContract, KeyOfEach, RpcContract } from './contract.ts';
import type { Contradicted } from './contradictions.ts';
import type { CallIdOptions, IdOfEach, IdOptions, NoChannelId, NoManyId } from './identity.ts';
import type {
  Destination,
  Held,
  MeantDestination,
  ReplyDestination,
  WithPath,
} from './destination.ts';
import type { BatchedEventOptions, EventOptions } from './event-options.ts';
import type { NoLimits, SendLimits } from './limits.ts';
import type { KeyedOptions, MessageOptions } from './message-options.ts';
import type { Message } from './message.ts';
import type { NeverLater, TimeOptions } from './time.ts';

/** Options of a publish that waits for no answer. */
export interface PublishOptions extends KeyedOptions, IdOptions, TimeOptions, SendLimits {
  /** Where the handler sends its answer. Default: no answer. */
  replyTo?: ReplyDestination;
  /** `true` makes the publish a call, with the options of calls. Default `false`. */
  rpc?: false;
  reply?: Mistake<"'reply' is an option of calls, with 'rpc: true'">;
  replyChannel?: Mistake<"'replyChannel' is an option of calls, with 'rpc: true'">;
}

/** Options of a call. */
export interface CallOptions<R extends Schema = Schema>
  extends KeyedOptions, CallIdOptions, NeverLater {
  /** Milliseconds to wait for the answer; `null`: no limit. Default: `rpc.timeout` of the broker, 30 000. */
  timeout?: number | null;
  /** When it aborts, the call rejects with its reason, and `ctx.signal` of the handler aborts. Default: none. */
  signal?: AbortSignal;
  /** Validates the answer. If it does not fit, the call rejects with `InvalidMessageError`. Default: no validation. */
  reply?: R;
  /**
   * `shared`: the answer comes to the channel that all calls of the broker share. `dedicated`: it comes to a
   * channel of this call alone, which costs one SUBSCRIBE and one UNSUBSCRIBE; use it for responders other than
   * redstart that change the correlation id. Default `shared`.
   */
  replyChannel?: 'shared' | 'dedicated';
  replyTo?: Mistake<"'replyTo' sends the answer elsewhere, and a call waits for it">;
}

/** Options of a publish that waits for the handler's answer. */
export interface RpcOptions<R extends Schema = Schema> extends CallOptions<R> {
  /** Waits for the answer of the handler. `request` does this always. */
  rpc: true;
}

/** The options of a call that its contract does not set. */
export type ContractCallOptions = Omit<CallOptions, 'reply' | 'replyTo'>;

/** Options of a call that is answered with a stream. */
export interface RequestManyOptions<R extends Schema = Schema>
  extends KeyedOptions, NoManyId, NeverLater {
  /** Milliseconds for the whole stream; `null`: no limit. Default `null`. */
  timeout?: number | null;
  /** Milliseconds to wait for each item; `null`: no limit. Default: `rpc.timeout` of the broker, 30 000. */
  itemTimeout?: number | null;
  /** How many items may be sent and not yet read, 1 to 1 024. When so many wait, the generator of the handler pauses. Default 64. */
  window?: number;
  /** When it aborts, the stream ends, and the next read rejects with its reason. Default: none. */
  signal?: AbortSignal;
  /** Validates each item. If one does not fit, reading it rejects with `InvalidMessageError`. Default: no validation. */
  reply?: R;
  replyTo?: Mistake<"'replyTo' sends the answer elsewhere, and a call waits for it">;
  rpc?: Mistake<'requestMany() is always a call'>;
}

/** Options of a request to all subscribers of a channel. */
export interface GatherOptions<R extends Schema = Schema>
  extends MessageOptions, NoManyId, NeverLater {
  /** The channel whose subscribers are asked. */
  channel: string;
  /** Sends with SPUBLISH, to subscribers with `sharded`. Needs Redis 7. Default `false`. */
  sharded?: boolean;
  /** Milliseconds to wait for all answers; `null`: no limit. After that the result has the answers that have come. Default: `rpc.timeout` of the broker, 30 000. */
  timeout?: number | null;
  /** Resolves when this many answers have come. Default: all. */
  max?: number;
  /** When it aborts, `gather` rejects with its reason. Default: none. */
  signal?: AbortSignal;
  /** Validates each answer. One that does not fit is in `errors`. Default: no validation. */
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

// What was given, `To`, chooses what the compiler compares it with: the destination that was meant, with
// the options that it can have. So there is one signature for each method, and its error is about the
// mistake.

/** Options of `publish` for `To`. */
type MeantOptions<To> = Remembered<
  To,
  To extends { readonly rpc: true } ? RpcOptions : PublishOptions
>;

/** The options without those that a channel cannot have, or that contradict others. */
type Remembered<To, Options> = Contradicted<To> &
  (To extends { readonly channel: unknown }
    ? Omit<Options, 'id' | 'idWindow'> & NoChannelId
    : Options);

/** What `publish` takes. */
export type PublishTo<To> = To extends string
  ? To
  : To extends Contract
    ? OnceAnswered<To>
    : MeantDestination<To> & MeantOptions<To>;

type OnceAnswered<C extends Contract> = C extends { readonly many: true }
  ? Mistake<'the contract is answered with a stream: use requestMany()'>
  : C;

/** What `request` takes. */
export type RequestTo<To> = To extends string
  ? To
  : To extends RpcContract
    ? OnceAnswered<To>
    : To extends EventContract
      ? Mistake<'an event() is not answered: use publish()'>
      : MeantDestination<To> &
          Remembered<To, CallOptions> & { rpc?: Mistake<'a request is always a call'> };

/** What `requestMany` takes. */
export type RequestManyTo<To> = To extends RpcContract
  ? To extends { readonly many: true }
    ? To
    : Mistake<'the contract is answered once: use publish() or request()'>
  : To extends EventContract
    ? Mistake<'an event() is not answered: use publish()'>
    : MeantDestination<To> & RequestManyOptions;

/** What `gather` takes. */
export type GatherTo<To> = Held<
  To,
  To extends RpcContract
    ? To extends { readonly kind: 'channel' }
      ? OnceAnswered<To>
      : Mistake<'gather() asks all subscribers of a channel, and the contract is on a list or a stream'>
    : To extends EventContract
      ? Mistake<'an event() is not answered: use publish()'>
      : GatherOptions
>;

/** What a pipeline's `publish` takes. */
export type PipelineTo<To> = Together<To, PipelinedOptions>;

/** What `publishBatch` takes. */
export type BatchTo<To> = Together<To, BatchedOptions>;

type Together<To, Options> = To extends string
  ? To
  : To extends EventContract
    ? To
    : To extends RpcContract
      ? Mistake<'the messages of a batch or a pipeline are not answered: use publish() for a call'>
      : MeantDestination<To> & Remembered<To, Options>;

/** Options of each message of a batch: they wait for no answer. */
export interface BatchedOptions
  extends Omit<PublishOptions, 'rpc' | 'key' | 'id' | keyof SendLimits>, NoLimits {
  /** One key for all messages, or a function that makes the key of each. Default: none. */
  key?: string | KeyOfEach;
  /** A batch is never a call. Default `false`. */
  rpc?: false | Mistake<'the messages of a batch or a pipeline are not answered'>;
  /** Makes the id of each message, as `id` of `publish`; `index` is the place of the message in the batch. Default: none. */
  id?:
    | IdOfEach
    | Mistake<"each message has an id of its own: 'id' is a function (body, index) => string">;
}

/** Options of a message of a pipeline. */
export interface PipelinedOptions extends Omit<BatchedOptions, 'id'> {
  /** An id as of `publish`, or a function that makes it; `index` is the place of the message in the pipeline. Default: none. */
  id?: string | IdOfEach;
}

/** What `publisher` takes as its destination. */
export type DestinationFor<To, S extends Schema> = To extends string
  ? To
  : To extends RpcContract
    ? RpcContract<S>
    : To extends EventContract
      ? EventContract<S>
      : MeantDestination<To>;

/** The body that fits a contract; any body for another destination. */
export type BodyFor<To> = [To] extends [never]
  ? unknown
  : To extends Contract
    ? InputOf<To['schema']>
    : unknown;

/** Options beside a contract; another destination has its options in it. `Event` are those beside an event. */
export type OptionsBeside<To, Call = ContractCallOptions, Event = EventOptions> = [To] extends [
  never,
]
  ? []
  : To extends RpcContract
    ? [options?: OfContract<To, Call>]
    : To extends EventContract
      ? [options?: OfContract<To, Event>]
      : [];

/** `Options` without those that the place of a contract cannot have. */
export type OfContract<To, Options> = To extends { readonly kind: 'channel' }
  ? Options extends unknown
    ? Omit<Options, 'id' | 'idWindow'> & NoChannelId & WithPath
    : never
  : Options;

/**
 * What sending to `To` resolves with: the id of a stream's entry, the length of a list, or a channel's
 * receivers. Where an id was given, a list's is that; where a time was given, it is a handle. `Named` is
 * what was given of these beside a contract.
 */
export type Sent<To, Named = never> = To extends string
  ? number
  : To extends
        | { readonly stream: string }
        | { readonly kind: 'stream' }
        | { readonly list: string; readonly id: unknown }
        | { readonly delay: number }
        | { readonly at: number | Date }
    ? string
    : [Named] extends [never]
      ? Extract<keyof To, 'delay' | 'at'> extends never
        ? To extends { readonly channel: string } | { readonly list: string }
          ? number
          : To extends { readonly kind: 'channel' | 'list' }
            ? number
            : number | string
        : number | string
      : string;

/** The value of an answer: that of its schema, else `T`. */
export type AnswerOf<To, T> = To extends RpcContract
  ? OutputOf<To['reply']>
  : To extends { readonly reply: infer R extends Schema }
    ? OutputOf<R>
    : T;

/** What `publish` resolves with. */
export type PublishResult<To, T, Named = never> = To extends RpcContract | { readonly rpc: true }
  ? AnswerOf<To, T>
  : Sent<To, Named>;

/**
 * What `publishBatch` resolves with: the length of the list, the ids in the stream, or the receivers of
 * each; with ids or a time, also of a list, the result of each.
 */
export type BatchResult<To, Named = never> = To extends {
  readonly list: string;
  readonly id: unknown;
}
  ? string[]
  : To extends { readonly list: string } | { readonly kind: 'list' }
    ? Sent<To, Named> extends string
      ? string[]
      : number
    : Sent<To, Named>[];

/** The methods that send messages and make calls, which brokers have. */
export interface Publishing {
  /**
   * Sends a message (PUBLISH, RPUSH or XADD; a string is a channel's name). Resolves with the number of
   * receivers, the length of the list, or the id of the entry. Rejects with `SendError`. With `delay` or
   * `at` it is kept on the server until then (EVALSHA), and this resolves with a handle for `cancel`.
   *
   * With `rpc: true`, or by the contract of a call: resolves with the value that the handler returned.
   * Rejects with `RemoteError` if the handler failed, else with `RpcError`, `RpcTimeoutError`,
   * `NoRespondersError`, `OverloadedError`, `SendError` or `BrokerClosedError`. By a contract, also
   * with `InvalidMessageError` if the body or the answer does not fit.
   */
  publish<
    T = unknown,
    const To = Destination & RpcOptions,
    Id extends string = never,
    When extends number | Date = never,
  >(
    body: BodyFor<To>,
    to: PublishTo<To>,
    ...options: OptionsBeside<To, ContractCallOptions, EventOptions<Id, When>>
  ): Promise<PublishResult<To, T, Id | When>>;

  /** Like `publish` with `rpc: true` or by a contract, but resolves with the whole answering message. */
  request<T = unknown, const To = string | (Destination & CallOptions)>(
    body: BodyFor<To>,
    to: RequestTo<To>,
    ...options: OptionsBeside<To>
  ): Promise<Message<AnswerOf<To, T>>>;

  /**
   * Calls a handler that answers with a stream (an `async function*`), and reads its items. The
   * request is sent when the first item is read. Leaving the loop ends the handler's generator.
   * Reading rejects with the errors of a call, and with `StreamBrokenError` if items were lost.
   */
  requestMany<T = unknown, const To = Destination & RequestManyOptions>(
    body: BodyFor<To>,
    to: RequestManyTo<To>,
    ...options: OptionsBeside<To, Omit<RequestManyOptions, 'reply'>>
  ): AsyncIterableIterator<AnswerOf<To, T>, undefined>;

  /** Sends a request to all subscribers of a channel (PUBLISH). Resolves with their answers, their errors, and who did not answer in time. */
  gather<T = unknown, const To = GatherOptions>(
    body: BodyFor<To>,
    to: GatherTo<To>,
    ...options: OptionsBeside<To, Omit<GatherOptions, 'channel' | 'sharded' | 'reply'>>
  ): Promise<GatherResult<AnswerOf<To, T>>>;

  /** Sends many messages in one round trip. Resolves with the length of the list, the ids in the stream, or the receivers of each. Rejects with `SendError`. */
  publishBatch<const To, Id extends string = never, When extends number | Date = never>(
    bodies: readonly BodyFor<To>[],
    to: BatchTo<To>,
    ...options: OptionsBeside<To, never, BatchedEventOptions<BodyFor<To>, Id, When>>
  ): Promise<BatchResult<To, Id | When>>;
}
