/** The types that a handler has by its address, its schemas and its contract. */
import type { Mistake } from '../internal/mistake.ts';
import type { Response } from '../message/response.ts';
import type { InputOf, OutputOf, Schema } from '../message/schema.ts';
import type { Kind } from '../transport/address.ts';
import type { BatchOptions, IsAcknowledged, KindOf, MeantAddress } from './addresses.ts';
import type { MessageContext, NoInjections, PathParameters } from './context.ts';
import type { Contract, ErrorSchemas, EventContract, PlaceOf, RpcContract } from './contract.ts';
import type { Destination, IsDestination } from './destination.ts';
import type { InjectedState, Injections } from './inject.ts';
import type { AddressOptionsBeside } from './options-beside.ts';
import type {
  ConsumerAddress,
  HandlerOptions,
  NoHandlerOptions,
  PublisherOptions,
  SubscriberAddress,
  SubscriberOptions,
} from './options.ts';
import type { Excluded, ExcludedBeside } from './pairs.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- without a schema the method's own types apply
export type AnySchema = Schema<any, any>;

type MaybePromise<T> = T | Promise<T>;

/** The type of a handler's first argument. */
export type BodyOf<S extends Schema, B extends boolean> = B extends true
  ? OutputOf<S>[]
  : OutputOf<S>;

/** What a handler may return: the answer, or for a batch an array with one answer per item; with `Many`, the items of a stream. */
export type ResultOf<
  R extends Schema,
  B extends boolean,
  Many extends boolean = false,
> = Many extends true
  ? AsyncIterable<InputOf<R>>
  : MaybePromise<
      | InputOf<R>
      | Response<InputOf<R>>
      | (B extends true ? readonly (InputOf<R> | Response<InputOf<R>>)[] : never)
    >;

/** A handler, with the types of its schemas `S` (body) and `R` (answer). */
export type Handler<
  S extends Schema = AnySchema,
  R extends Schema = AnySchema,
  B extends boolean = false,
  I extends Injections = NoInjections,
  Many extends boolean = false,
  Path extends PathParameters = PathParameters,
> = (
  body: BodyOf<S, B>,
  ctx: MessageContext<OutputOf<S>, InjectedState<I>, Path>,
) => ResultOf<R, B, Many>;

/** The handler of a contract: `ContractHandler<typeof placeOrder>`. */
export type ContractHandler<C extends Contract> =
  C extends RpcContract<infer Q, infer A, infer _E, infer Many, infer _K, infer B, infer Place>
    ? Handler<Q, A, B, NoInjections, Many, PathOf<Place>>
    : C extends EventContract<infer S, infer _K, infer B, infer Place>
      ? Handler<S, AnySchema, B, NoInjections, false, PathOf<Place>>
      : never;

/** The parameters of a channel's template: `logs.{level}` has `level`. */
export type PathOf<A> = A extends string
  ? PathIn<A>
  : A extends { readonly pattern: false }
    ? PathParameters
    : A extends { readonly channel: infer Name extends string }
      ? PathIn<Name>
      : PathParameters;

type PathIn<Name extends string> = [ParametersIn<Name>] extends [never]
  ? PathParameters
  : { readonly [P in ParametersIn<Name>]: string };

type ParametersIn<Name extends string> = Name extends `${string}{${infer Parameter}}${infer Rest}`
  ? Parameter | ParametersIn<Rest>
  : never;

/** A handler of `subscriber` as a function. */
export type HandlerFor<
  A,
  S extends Schema,
  R extends Schema,
  B extends boolean,
  I extends Injections,
  Many extends boolean,
> = (
  body: BodyOf<S, B>,
  ctx: MessageContext<OutputOf<S>, InjectedState<I>, PathOf<PlaceOf<A>>>,
) => NoInfer<ResultOf<R, B, Many>>;

/**
 * What `subscriber` takes as its address: also a `Destination` in a variable. `A` is what was given: by it the compiler compares with the
 * kind of address that was meant, and its error is about that one.
 */
export type AddressFor<
  A,
  S extends Schema,
  R extends Schema,
  B extends boolean,
  I extends Injections,
  Many extends boolean,
  K extends Kind,
> = unknown extends A
  ?
      | SubscriberAddress<S, R, B, I>
      | RpcContract<S, R, ErrorSchemas, Many, K, B>
      | EventContract<S, K, B>
  : true extends IsDestination<A>
    ? Destination
    : A extends string
      ? A
      : A extends RpcContract
        ? RpcContract<S, R, ErrorSchemas, Many, K, B>
        : A extends EventContract
          ? EventContract<S, K, B>
          : A extends object
            ? MeantAddress<A, B> & SubscriberOptions<S, R, I> & Excluded<A>
            : SubscriberAddress<S, R, B, I>;

/** What `subscribe` takes as its address. */
export type ConsumerAddressFor<A, S extends Schema> =
  true extends IsDestination<A>
    ? Destination
    : A extends string
      ? A
      : A extends Contract
        ? RpcContract<S> | EventContract<S>
        : A extends object
          ? MeantAddress<A, false> &
              Pick<SubscriberOptions<S>, 'schema' | 'title' | 'codec' | 'format'> &
              NoHandlerOptions &
              Excluded<A>
          : ConsumerAddress<S>;

/**
 * What `subscriber` takes beside the address: what the address takes, too, but for its place. `P` is what was
 * given: by it the compiler finds what contradicts the address.
 */
export type OptionsFor<
  A,
  S extends Schema,
  R extends Schema,
  I extends Injections,
  K extends Kind,
  B extends boolean,
  P,
> = unknown extends P
  ? AnyOptionsFor<A, S, R, I, K, B>
  : P extends string
    ? P
    : AnyOptionsFor<A, S, R, I, K, B> & ExcludedBeside<PlaceOf<A> & Many<A>, P>;

type AnyOptionsFor<
  A,
  S extends Schema,
  R extends Schema,
  I extends Injections,
  K extends Kind,
  B extends boolean,
> = [K] extends [never]
  ? SubscriberOptions<S, R, I> &
      NoPlace<'is an address, and one was given before the options'> &
      Pick<BatchOptions<B>, 'batch'> &
      AddressOptionsBeside<KindOf<A>, IsAcknowledged<A>, B>
  : ContractSubscriberOptions<K, B, I, IsAcknowledged<PlaceOf<A>>>;

/** Beside an address there is no second one. */
type NoPlace<Text extends string> = { [K in Kind]?: Mistake<`'${K}' ${Text}`> };

/** That the contract `C` is answered with a stream. */
type Many<C> = C extends { readonly many: true } ? { readonly many: true } : unknown;

/**
 * Options of a contract's subscriber: all that concerns the subscribing side. They win over the contract's own.
 * `Acknowledged` says whether the contract has a group, or a list that is reliable.
 */
export type ContractSubscriberOptions<
  K extends Kind = Kind,
  B extends boolean = boolean,
  I extends Injections = Injections,
  Acknowledged extends boolean = boolean,
> = HandlerOptions<I> &
  Pick<BatchOptions<B>, 'batch'> & {
    schema?: Mistake<"'schema' is set by the contract">;
    reply?: Mistake<"'reply' is set by the contract">;
    noReply?: Mistake<"'noReply' is set by the contract">;
    sharded?: Mistake<"'sharded' is set by the contract">;
  } & NoPlace<'is set by the contract'> &
  AddressOptionsBeside<K, Acknowledged, B>;

/** What `publisher` takes beside the destination. */
export type PublisherOptionsFor<To, S extends Schema> = (To extends Contract
  ? PublisherOptions<S> & { schema?: Mistake<"'schema' is set by the contract"> }
  : PublisherOptions<S>) &
  (To extends
    | { readonly list: unknown }
    | { readonly stream: unknown }
    | { readonly kind: 'list' | 'stream' }
    ? { pattern?: false | Mistake<"'pattern' is an option of channels"> }
    : unknown);

/** A publisher of any broker, by its schema: what `broker.publisher` returns. */
export interface AnyPublisher<S extends Schema> {
  readonly schema: S | undefined;
  publishBatch(...args: never): unknown;
}
