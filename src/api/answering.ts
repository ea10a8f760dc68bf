import type { Mistake } from '../internal/mistake.ts';
import type { Schema } from '../message/schema.ts';
import type { EventContract, RpcContract } from './contract.ts';
import type { MeantDestination } from './destination.ts';
import type { AnswerOf, CallOptions } from './publishing.ts';

/** Options of `broker.answer`. */
export type AnswerOptions = Pick<CallOptions, 'timeout' | 'signal'>;

/** The place that a call was sent to, and the schema of its answer. */
export interface AskedPlace {
  /** Validates the answer. If it does not fit, `answer` rejects with `InvalidMessageError`. Default: no validation. */
  reply?: Schema;
}

type NoChannel = Mistake<'a channel keeps no answers: calls with an id go to a list or a stream'>;

/** What `broker.answer` takes. */
export type AnswerTo<To> = To extends string | { readonly channel: unknown }
  ? NoChannel
  : To extends RpcContract
    ? To extends { readonly kind: 'channel' }
      ? NoChannel
      : To extends { readonly many: true }
        ? Mistake<'an answer in many parts is not kept'>
        : To
    : To extends EventContract
      ? Mistake<'an event() is not answered'>
      : Omit<MeantDestination<To>, 'maxlen'> & AskedPlace;

/** Asks for the answers of calls with an id. */
export interface Answering {
  /**
   * The answer of a call that was made with this `id`, also by another process: the kept one at once;
   * while the handler runs, its answer when it is done (one script, and the answer over Pub/Sub).
   * Rejects with `UnknownIdError` at once where no such call runs or has a kept answer; with the
   * handler's `RpcError`; with `RpcTimeoutError` after `timeout` milliseconds (default: the broker's
   * `rpc.timeout`); with the reason of `signal`.
   */
  answer<T = unknown, const To = { list: string } | { stream: string }>(
    id: string,
    of: AnswerTo<To>,
    options?: AnswerOptions,
  ): Promise<AnswerOf<To, T>>;
}
