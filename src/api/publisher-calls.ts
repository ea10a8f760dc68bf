// What a publisher can be called with, by its address.
import type { Mistake } from '../internal/mistake.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import type { EventContract, RpcContract } from './contract.ts';
import type { GatherOptions, RequestManyOptions } from './publishing.ts';

/** The body of `publisher.requestMany`; a {@link Mistake} where the address is not answered with a stream. */
export type RequestManyBody<To, S extends Schema> = To extends EventContract
  ? Mistake<'an event() is not answered: use publish()'>
  : To extends RpcContract
    ? To extends { readonly many: true }
      ? InputOf<S>
      : Mistake<'the contract is answered once: use publish() or request()'>
    : InputOf<S>;

/** The options of `publisher.requestMany` that its contract, if it has one, does not set. */
export type PublisherRequestManyOptions<To> = To extends RpcContract
  ? Omit<RequestManyOptions, 'reply'>
  : RequestManyOptions;

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
export type PublisherGatherOptions<To> = Omit<
  GatherOptions,
  To extends RpcContract ? 'channel' | 'sharded' | 'reply' : 'channel' | 'sharded'
>;
