import type { Response } from '../message/response.ts';
import type { InputOf, OutputOf, Schema } from '../message/schema.ts';
import type { MessageContext, NoInjections } from './context.ts';
import type { ErrorSchemas, EventContract, RpcContract } from './contract.ts';
import type { InjectedState, Injections } from './inject.ts';
import { record, type DecoratorArguments } from './metadata.ts';
import type { PublisherOptions, SubscriberAddress, SubscriberOptions } from './options.ts';
import type { Destination } from './publishing.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- without a schema the method's own types apply
export type AnySchema = Schema<any, any>;

type MaybePromise<T> = T | Promise<T>;

/** The type of a handler's first argument. */
export type BodyOf<S extends Schema, B extends boolean> = B extends true
  ? OutputOf<S>[]
  : OutputOf<S>;

/** What a handler may return: the answer, or for a batch an array with one answer per item. */
export type ResultOf<R extends Schema, B extends boolean> = MaybePromise<
  | InputOf<R>
  | Response<InputOf<R>>
  | (B extends true ? readonly (InputOf<R> | Response<InputOf<R>>)[] : never)
>;

/** A handler, with the types of its schemas `S` (body) and `R` (answer). */
export type Handler<
  S extends Schema,
  R extends Schema,
  B extends boolean,
  I extends Injections = NoInjections,
> = (body: BodyOf<S, B>, ctx: MessageContext<OutputOf<S>, InjectedState<I>>) => ResultOf<R, B>;

/** A method decorator, legacy and standard. The compiler checks the method's types against the schemas. */
// oxlint-disable-next-line typescript/no-explicit-any -- TypeScript's own decorator types use any here
export interface HandlerDecorator<H extends (...args: any[]) => unknown> {
  <This, M extends H>(method: M, context: ClassMethodDecoratorContext<This, M>): void;
  <M extends H>(
    prototype: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<M>,
  ): void;
}

/** The subscriber options that a contract does not set. */
export type ContractSubscriberOptions = Omit<SubscriberOptions, 'schema' | 'reply' | 'noReply'> & {
  group?: string;
  consumer?: string;
  maxRecords?: number;
  lastId?: string;
};

/** A handler with the types of a contract; with `many: true`, it returns an async iterable. */
export type ContractHandler<Q extends Schema, A extends Schema, S extends boolean> = (
  body: OutputOf<Q>,
  ctx: MessageContext<OutputOf<Q>>,
) => S extends true ? AsyncIterable<InputOf<A>> : MaybePromise<InputOf<A> | Response<InputOf<A>>>;

/** Makes a method the handler of a contract. Its parameter and result are checked against the contract's schemas. */
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
 * Makes a method the handler of an address. It runs once an instance of the class is registered with
 * a broker or router. Throws `SetupError` on anything but a public method; `register` throws it for
 * invalid options.
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

/** A method whose result `@publisher` can send. */
export type PublishedFunction<S extends Schema> = (
  // oxlint-disable-next-line typescript/no-explicit-any -- @subscriber checks the parameters
  ...args: any[]
) => MaybePromise<InputOf<S> | Response<InputOf<S>> | undefined | void>;

/**
 * Sends the result of a handler method to an address, too; `undefined` is not sent. A method can
 * have several. Throws as {@link subscriber} does.
 */
export function publisher<S extends Schema = AnySchema>(
  address: string | Destination,
  options?: PublisherOptions<S>,
): HandlerDecorator<PublishedFunction<S>> {
  return (...args: unknown[]): void => {
    const intent = { type: 'publisher', address, options, owner: undefined } as const;
    record(intent, 'publisher', args as DecoratorArguments);
  };
}
