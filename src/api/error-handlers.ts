import { SetupError, identityOf } from '../errors.ts';
import { got, wrong } from '../internal/checks.ts';
import type { MessageContext } from './context.ts';

/** A class of errors, abstract ones included. */
export type ErrorClass<E extends Error = Error> = abstract new (...args: never[]) => E;

/** Handles the errors of one class that a handler throws. Made by {@link onError}. */
export interface ErrorHandler {
  readonly type: ErrorClass;
  readonly handle: (error: never, ctx: MessageContext) => unknown;
}

/**
 * Handles errors of a class and its subclasses, for the option `onError` of a subscriber, router or
 * broker. The result of `handle` replaces the result of the handler: it is the answer, publishers
 * send it, and the message is acknowledged. If `handle` throws, the message fails with that error.
 * Throws `SetupError` if `type` is not `Error` or a subclass of it.
 */
export function onError<E extends Error>(
  type: ErrorClass<E>,
  handle: (error: E, ctx: MessageContext) => unknown,
): ErrorHandler {
  if (typeof type !== 'function' || !isErrorPrototype(type.prototype)) {
    throw new SetupError(`onError: expected Error or a class that extends it, got ${got(type)}`);
  }
  if (typeof handle !== 'function') {
    throw new SetupError(
      `onError: expected a function (error, ctx) for ${type.name}, got ${got(handle)}`,
    );
  }
  return { type, handle };
}

/** Throws {@link SetupError} if a handler was not made by {@link onError}, or if two are for the same class. */
export function checkErrorHandlers(given: unknown, where: string): void {
  if (!Array.isArray(given)) throw wrong(where, 'onError', 'an array', given);
  const types = new Set<unknown>();
  for (const one of given as (Partial<ErrorHandler> | null | undefined)[]) {
    if (typeof one?.type !== 'function' || typeof one.handle !== 'function') {
      throw new SetupError(
        `${where}: each of 'onError' must be made by onError(ErrorClass, (error, ctx) => …), got ${got(one)}`,
      );
    }
    const identity = identityOf(one.type.prototype as object);
    if (types.has(identity))
      throw new SetupError(`${where}: 'onError' has two handlers for ${one.type.name}`);
    types.add(identity);
  }
}

/** Finds the handler of an error: the one for its most specific class. */
export type FindErrorHandler = (error: unknown) => ErrorHandler['handle'] | undefined;

/**
 * Makes the lookup for these handlers. Of two for the same class, the first one is used, so those
 * of the subscriber come first.
 */
export function errorHandlersBy(handlers: readonly ErrorHandler[]): FindErrorHandler | undefined {
  if (handlers.length === 0) return undefined;
  // By brand, so that an error of another copy of the package has its handler, too.
  const byClass = new Map<unknown, ErrorHandler['handle']>();
  for (const { type, handle } of handlers.toReversed())
    byClass.set(identityOf(type.prototype as object), handle);
  return (error) => {
    if (!(error instanceof Error)) return undefined;
    let prototype = Object.getPrototypeOf(error) as object | null;
    while (prototype !== null) {
      const found = byClass.get(identityOf(prototype));
      if (found !== undefined) return found;
      prototype = Object.getPrototypeOf(prototype) as object | null;
    }
    return undefined;
  };
}

function isErrorPrototype(prototype: unknown): boolean {
  return prototype === Error.prototype || prototype instanceof Error;
}
