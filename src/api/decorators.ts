import type { Mistake } from '../internal/mistake.ts';
import type { Response } from '../message/response.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import type { Kind } from '../transport/address.ts';
import type { NoInjections } from './context.ts';
import type { PlaceOf } from './contract.ts';
import type { DestinationFor } from './publishing.ts';
import type {
  AddressFor,
  AnyPublisher,
  AnySchema,
  Handler,
  OptionsFor,
  PathOf,
  PublisherOptionsFor,
} from './handlers.ts';
import type { Injections } from './inject.ts';
import { record, type DecoratorArguments } from './metadata.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- TypeScript's own decorator types use any here
type AnyMethod = (...args: any[]) => unknown;

/** `unknown` for a method that fits, else the reason why it does not. */
type Fits<M extends AnyMethod, H extends AnyMethod> = M extends H
  ? unknown
  : [Parameters<H>[0]] extends [Parameters<M>[0]]
    ? [Awaited<ReturnType<M>>] extends [Awaited<ReturnType<H>>]
      ? Mistake<'the method does not fit: its second parameter is a MessageContext of other types'>
      : unknown extends Parameters<H>[1]
        ? Mistake<"the method's result does not fit the publisher's schema">
        : Mistake<"the method's result does not fit its reply schema">
    : Mistake<"the method's first parameter does not take what the schema gives">;

/** A method decorator, legacy and standard. The compiler checks the method's types against the schemas. */
export interface HandlerDecorator<H extends AnyMethod> {
  // The reason stands first, or the compiler cuts it off behind a long type of a method.
  // The older dialect first and last: some compilers explain the first that does not fit, some the last.
  <M extends AnyMethod>(
    prototype: object,
    key: string | symbol,
    descriptor: Fits<M, H> & TypedPropertyDescriptor<M>,
  ): void;
  // For fields, the compilers of both dialects explain this one: it takes anything, and says what it is for.
  <This, M>(
    method: M extends AnyMethod ? Fits<M, H> & M : Mistake<'this decorator is for methods'>,
    context: ClassMethodDecoratorContext<This, Extract<M, AnyMethod>>,
  ): void;
  <M extends AnyMethod>(
    prototype: object,
    key: string | symbol,
    descriptor: Fits<M, H> & TypedPropertyDescriptor<M>,
  ): void;
}

/**
 * Makes a method the handler of an address or a contract. It gets messages when an instance of the class is
 * registered with a broker or router and the broker has started. A contract checks the method's parameter and result. Throws
 * `SetupError` on anything but a public method; `register` throws it for invalid options.
 */
export function subscriber<
  const A,
  S extends Schema = AnySchema,
  R extends Schema = AnySchema,
  B extends boolean = false,
  I extends Injections = NoInjections,
  Many extends boolean = false,
  K extends Kind = never,
  O extends boolean = B,
  const P = unknown,
>(
  address: AddressFor<A, S, R, B, I, Many, K>,
  options?: OptionsFor<A, S, R, I, K, O, P>,
): HandlerDecorator<Handler<S, R, O, I, Many, PathOf<PlaceOf<A>>>> {
  return (...args: unknown[]): void => {
    const intent = { type: 'subscriber', address, options, owner: undefined } as const;
    record(intent, 'subscriber', args as DecoratorArguments);
  };
}

/** A method whose result `@publisher` can send. */
export type PublishedFunction<S extends Schema, B extends boolean = false> = (
  // oxlint-disable-next-line typescript/no-explicit-any -- @subscriber checks the parameters
  ...args: any[]
) => MaybePromise<Published<B extends true ? readonly InputOf<S>[] : InputOf<S>>>;

type MaybePromise<T> = T | Promise<T>;

type Published<T> = T | Response<T> | undefined | void;

/** What `@publisher` takes: a place, a contract or a publisher. */
type PublishedTo<To, S extends Schema> =
  To extends AnyPublisher<Schema> ? To : DestinationFor<To, S>;

/** The schema of what is sent: the one given beside the place, or that of the publisher. */
type SchemaAt<To, S extends Schema> = To extends AnyPublisher<infer Own extends Schema> ? Own : S;

/**
 * Sends the result of a handler method also to an address or a contract, or with a publisher, which may
 * belong to another broker. It does not wait for an answer. `undefined` is not sent. With `batch: true` each item of
 * the array that the method returns is a message. A method can have several. Throws as
 * {@link subscriber} does.
 */
export function publisher<const To, S extends Schema = AnySchema, const B extends boolean = false>(
  address: PublishedTo<To, S>,
  options?: PublisherOptionsFor<To, S> & { batch?: B },
): HandlerDecorator<PublishedFunction<SchemaAt<To, S>, B>> {
  return (...args: unknown[]): void => {
    const intent = { type: 'publisher', address, options, owner: undefined } as const;
    record(intent, 'publisher', args as DecoratorArguments);
  };
}
