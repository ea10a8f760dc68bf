import type { ErrorSchemas, EventContract, RpcContract } from './contract.ts';
import type { InjectedState, Injections } from './inject.ts';
import type { MessageContext, NoInjections } from './context.ts';
import type { Response } from '../message/response.ts';
import type { InputOf, OutputOf, Schema } from '../message/schema.ts';
import type { PublisherOptions, SubscriberAddress, SubscriberOptions } from './options.ts';
import type { Destination } from './publishing.ts';
import { record, type DecoratorArguments } from './metadata.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- without a schema the method says what it expects
export type AnySchema = Schema<any, any>;

type MaybePromise<T> = T | Promise<T>;

/** What a handler receives as its first argument. */
export type BodyOf<S extends Schema, B extends boolean> = B extends true
  ? OutputOf<S>[]
  : OutputOf<S>;

/** What a handler may return: the answer, or an array of one for each item of a batch. */
export type ResultOf<R extends Schema, B extends boolean> = MaybePromise<
  | InputOf<R>
  | Response<InputOf<R>>
  | (B extends true ? readonly (InputOf<R> | Response<InputOf<R>>)[] : never)
>;

/** A function that handles what a schema describes and answers what another does. */
export type Handler<
  S extends Schema,
  R extends Schema,
  B extends boolean,
  I extends Injections = NoInjections,
> = (body: BodyOf<S, B>, ctx: MessageContext<OutputOf<S>, InjectedState<I>>) => ResultOf<R, B>;

/** A method decorator in both dialects; the compiler checks the method against the schemas in either. */
// oxlint-disable-next-line typescript/no-explicit-any -- as the standard's own decorator types have it
export interface HandlerDecorator<H extends (...args: any[]) => unknown> {
  <This, M extends H>(method: M, context: ClassMethodDecoratorContext<This, M>): void;
  <M extends H>(
    prototype: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<M>,
  ): void;
}

/** Options beside a contract, which says the rest. */
export type ContractSubscriberOptions = Omit<SubscriberOptions, 'schema' | 'reply' | 'noReply'> & {
  group?: string;
  consumer?: string;
  maxRecords?: number;
  lastId?: string;
};

/** A handler that keeps a contract; that of a stream answers with an async iterable. */
export type ContractHandler<Q extends Schema, A extends Schema, S extends boolean> = (
  body: OutputOf<Q>,
  ctx: MessageContext<OutputOf<Q>>,
) => S extends true ? AsyncIterable<InputOf<A>> : MaybePromise<InputOf<A> | Response<InputOf<A>>>;

/** Makes a method keep a contract: its parameter and its result are checked against it. */
export function subscriber<
  Q extends Schema,
  A extends Schema,
  E extends ErrorSchemas,
  S extends boolean,
>(
  contract: RpcContract<Q, A, E, S>,
  options?: ContractSubscriberOptions,
): HandlerDecorator<ContractHandler<Q, A, S>>;
export function subscriber<S extends Schema>(
  contract: EventContract<S>,
  options?: ContractSubscriberOptions,
): HandlerDecorator<(body: OutputOf<S>, ctx: MessageContext<OutputOf<S>>) => unknown>;
/**
 * Makes a method handle what comes to an address. Registering an instance of the class with a
 * broker or router connects it. Throws `SetupError` on anything but a public method; mistaken
 * options are found at registration.
 */
export function subscriber<
  S extends Schema = AnySchema,
  R extends Schema = AnySchema,
  B extends boolean = false,
  I extends Injections = NoInjections,
>(
  address: SubscriberAddress<S, R, B, I>,
  options?: SubscriberOptions<S, R, I>,
): HandlerDecorator<Handler<S, R, B, I>>;
export function subscriber(address: unknown, options?: unknown) {
  return (...args: unknown[]): void => {
    const intent = { type: 'subscriber', address, options, owner: undefined } as const;
    record(intent, 'subscriber', args as DecoratorArguments);
  };
}

/** A method whose result can be sent on; `undefined` sends nothing. */
export type PublishedFunction<S extends Schema> = (
  // oxlint-disable-next-line typescript/no-explicit-any -- what it receives is @subscriber's to check
  ...args: any[]
) => MaybePromise<InputOf<S> | Response<InputOf<S>> | undefined | void>;

/** Sends what a subscribed method returns on to an address; `undefined` sends nothing. Several may stand on one method. */
export function publisher<S extends Schema = AnySchema>(
  address: string | Destination,
  options?: PublisherOptions<S>,
): HandlerDecorator<PublishedFunction<S>> {
  return (...args: unknown[]): void => {
    const intent = { type: 'publisher', address, options, owner: undefined } as const;
    record(intent, 'publisher', args as DecoratorArguments);
  };
}
