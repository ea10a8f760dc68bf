// What a publisher can be called with, by its address.
import type { Mistake } from '../internal/mistake.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import type { EventContract, RpcContract } from './contract.ts';
import type { BatchedEventOptions } from './event-options.ts';
import type { PathOf } from './handlers.ts';
import type { IdOptions, NoChannelId } from './identity.ts';
import type {
  CallOptions,
  ContractCallOptions,
  GatherOptions,
  OfContract,
  PublishOptions,
  RequestManyOptions,
} from './publishing.ts';
import type { TimeOptions } from './time.ts';

/** Options of one message of a publisher: with `path`, the parameters of its template. */
type WithPath<To, Options> = Options & { path?: PathOf<To> };

/** A channel remembers no ids. */
type Identified<To, Options> = To extends
  | string
  | { readonly channel: unknown }
  | { readonly kind: 'channel' }
  ? NoChannelId
  : Options;

type Call<To, Options> = Omit<Options, 'id' | 'idWindow'> &
  Identified<To, Pick<CallOptions, 'id' | 'idWindow'>>;

/** The options of `publisher.publish`. */
export type PublisherPublishOptions<
  To,
  Id extends string,
  When extends number | Date,
> = To extends RpcContract
  ? OfContract<To, Call<To, ContractCallOptions>>
  : WithPath<
      To,
      Omit<PublishOptions, keyof TimeOptions | keyof IdOptions> &
        Identified<To, IdOptions<Id>> &
        TimeOptions<When>
    >;

/** The options of `publisher.request`. */
export type PublisherRequestOptions<To> = To extends RpcContract
  ? OfContract<To, Call<To, ContractCallOptions>>
  : WithPath<To, Call<To, CallOptions>>;

/** The options of `publisher.publishBatch`. */
export type PublisherBatchOptions<
  To,
  Body,
  Id extends string,
  When extends number | Date,
> = WithPath<
  To,
  Pick<PublishOptions, 'replyTo' | 'rpc' | 'reply' | 'replyChannel'> &
    BatchedEventOptions<Body, Id, When> &
    Identified<To, unknown>
>;

/** The body of `publisher.requestMany`; a {@link Mistake} where the address is not answered with a stream. */
export type RequestManyBody<To, S extends Schema> = To extends EventContract
  ? Mistake<'an event() is not answered: use publish()'>
  : To extends RpcContract
    ? To extends { readonly many: true }
      ? InputOf<S>
      : Mistake<'the contract is answered once: use publish() or request()'>
    : InputOf<S>;

/** The options of `publisher.requestMany` that its contract, if it has one, does not set. */
export type PublisherRequestManyOptions<To> = WithPath<
  To,
  To extends RpcContract ? Omit<RequestManyOptions, 'reply'> : RequestManyOptions
>;

/** The body of `publisher.gather`; a {@link Mistake} where the address is no channel. */
export type GatherBody<To, S extends Schema> = To extends EventContract
  ? Mistake<'an event() is not answered: use publish()'>
  : To extends RpcContract
    ? To extends { readonly kind: 'channel' }
      ? To extends { readonly many: true }
        ? Mistake<'the contract is answered with a stream: use requestMany()'>
        : InputOf<S>
      : Mistake<'gather() asks all subscribers of a channel, and the contract is on a list or a stream'>
    : To extends { readonly list: string } | { readonly stream: string }
      ? Mistake<'gather() asks all subscribers of a channel, and the publisher sends to a list or a stream'>
      : InputOf<S>;

/** The options of `publisher.gather` that its address or contract does not set. */
export type PublisherGatherOptions<To> = WithPath<
  To,
  Omit<
    GatherOptions,
    To extends RpcContract ? 'channel' | 'sharded' | 'reply' : 'channel' | 'sharded'
  >
>;
