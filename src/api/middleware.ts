import { SetupError } from '../errors.ts';
import { got, isObject } from '../internal/checks.ts';
import { unawaited } from '../internal/promises.ts';
import type { ReplyAddress } from '../message/encoder.ts';
import type { Extras } from '../message/extras.ts';
import type { HeadersInput } from '../message/headers.ts';
import type { Target } from '../transport/address.ts';
import type { MessageContext } from './context.ts';

/**
 * Runs around every handler. `next()` runs the inner middleware and the handler; the value returned here
 * replaces its result. A second `next()` for the same message throws `SetupError`: the handler runs once.
 * To have a message handled again, throw, or throw `Retry`.
 */
export type ConsumeMiddleware = (ctx: MessageContext, next: () => unknown) => unknown;

/** One message to send, as publish middleware gets it. Middleware may change the fields that are not readonly. */
export interface PublishCommand {
  /** `publish`: a message without an answer. `request`: a call. `reply`: the answer to a call. */
  readonly type: 'publish' | 'request' | 'reply';
  /** The destination; its name includes the broker's prefix. */
  to: Target;
  body: unknown;
  headers: HeadersInput | undefined;
  correlationId: string;
  /** What `key` was, or made of the body; undefined where none was given. */
  key?: string | undefined;
  /** The address of the answer, if `publish` was called with `replyTo`. */
  readonly replyTo: ReplyAddress | undefined;
  /** The options that few messages have; undefined where none of them was given. */
  readonly extras?: Extras | undefined;
}

/**
 * Runs around every message that is sent. `next()` sends it and resolves with what the publisher
 * gets: receivers, length or id; for a `request`, the answering message. A second `next()` sends the
 * message a second time. In a batch or a pipeline each message is sent once: there, a second `next()`
 * resolves with what the first one does.
 *
 * For a batch or a pipeline, the middleware of all messages runs at the same time. The messages are
 * sent together when the middleware of each has called `next()` or ended. So the middleware of one
 * message must not wait for that of another: it would wait forever. If the middleware of one throws,
 * no message is sent, and `next()` of the others rejects with the same error.
 */
export type PublishMiddleware = (command: PublishCommand, next: () => Promise<unknown>) => unknown;

/** A function runs around handlers. An object may have functions for handlers (`consume`) and for sending (`publish`). */
export type Middleware =
  | ConsumeMiddleware
  | { readonly consume?: ConsumeMiddleware; readonly publish?: PublishMiddleware };

/** A handler method, bound to its instance. */
export type HandlerFunction = (body: never, ctx: MessageContext) => unknown;

/** Runs middleware and handler for a message that is decoded and validated. */
export type Invoke = (ctx: MessageContext, body: unknown) => unknown;

/**
 * Wraps the method in its middleware, the first one outermost. Called once, at start. Makes no
 * promise of its own, so a synchronous handler stays synchronous.
 */
export function composeConsume(
  middlewares: readonly ConsumeMiddleware[],
  method: HandlerFunction,
): Invoke {
  const call = method as (body: unknown, ctx: MessageContext) => unknown;
  return middlewares.reduceRight<Invoke>(
    (next, middleware) => (ctx, body) => {
      let isCalled = false;
      let result: unknown;
      return middleware(ctx, () => {
        if (isCalled) return calledTwice(result);
        isCalled = true;
        return (result = next(ctx, body));
      });
    },
    (ctx, body) => call(body, ctx),
  );
}

/** Refuses a second `next()`, where the first one gave `result`. */
function calledTwice(result: unknown): Promise<never> {
  const error = new SetupError(
    'middleware called next() twice for one message: the handler runs once. To have the message handled again, throw an error, or Retry',
  );
  if (!(result instanceof Promise)) throw error;
  // The handler may still run: its message must not be settled before it has ended.
  const refused = result.then(
    () => Promise.reject(error),
    () => Promise.reject(error),
  );
  unawaited(refused);
  return refused;
}

/** Wraps `last` in middleware, the first one outermost. */
export function composePublish<C extends PublishCommand>(
  middlewares: readonly PublishMiddleware[],
  last: (command: C) => Promise<unknown>,
): (command: C) => Promise<unknown> {
  return middlewares.reduceRight<(command: C) => Promise<unknown>>(
    (next, middleware) => async (command) => middleware(command, () => next(command)),
    last,
  );
}

export function consumersIn(middlewares: readonly Middleware[]): ConsumeMiddleware[] {
  return middlewares
    .map((middleware) => (typeof middleware === 'function' ? middleware : middleware.consume))
    .filter((consume) => consume !== undefined);
}

export function publishersIn(middlewares: readonly Middleware[]): PublishMiddleware[] {
  return middlewares
    .map((middleware) => (typeof middleware === 'function' ? undefined : middleware.publish))
    .filter((publish) => publish !== undefined);
}

/** Throws {@link SetupError} if the value is no middleware. */
export function checkMiddleware(middleware: unknown, where: string): void {
  if (typeof middleware === 'function') return;
  const given = isObject(middleware) ? Object.entries(middleware) : [];
  const isValid = given.every(
    ([key, value]) => (key === 'consume' || key === 'publish') && typeof value === 'function',
  );
  if (given.length === 0 || !isValid) {
    throw new SetupError(
      `${where}: a middleware must be a function (ctx, next) or an object { consume, publish } of functions, got ${got(middleware)}`,
    );
  }
}
