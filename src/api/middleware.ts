import { SetupError } from '../errors.ts';
import { got, isObject } from '../internal/checks.ts';
import type { ReplyAddress } from '../message/encoder.ts';
import type { HeadersInput } from '../message/headers.ts';
import type { Target } from '../transport/address.ts';
import type { MessageContext } from './context.ts';

/** Runs around every handler. `next()` runs the rest; its result may be changed on the way back. */
export type ConsumeMiddleware = (ctx: MessageContext, next: () => unknown) => unknown;

/** One message on its way out, as publish middleware sees it and may change it. */
export interface PublishCommand {
  /** `publish`: nobody waits. `request`: an answer comes back. `reply`: this is one. */
  readonly type: 'publish' | 'request' | 'reply';
  /** Where it goes; the name includes the broker's prefix. */
  to: Target;
  body: unknown;
  headers: HeadersInput | undefined;
  correlationId: string;
  /** Where the answer is to go, on `publish` with `replyTo`. */
  readonly replyTo: ReplyAddress | undefined;
}

/**
 * Runs around every message that is sent. `next()` sends it and resolves with what the publisher
 * gets: receivers, length or id; for a `request`, the answering message.
 *
 * The messages of a batch or a pipeline pass through at the same time, and are sent together once
 * the middleware of each has called `next()` or ended. So one must not wait for another there: it
 * would wait for ever. Where the middleware of one throws, none is sent, and `next()` of the others
 * rejects with the same error.
 */
export type PublishMiddleware = (command: PublishCommand, next: () => Promise<unknown>) => unknown;

/** A function runs around handlers; an object may run around publishing, too. */
export type Middleware =
  | ConsumeMiddleware
  | { readonly consume?: ConsumeMiddleware; readonly publish?: PublishMiddleware };

/** A handler method, bound to its instance. */
export type HandlerFunction = (body: never, ctx: MessageContext) => unknown;

/** What runs for a message that was decoded and validated. */
export type Invoke = (ctx: MessageContext, body: unknown) => unknown;

/**
 * The method wrapped in its middleware, the first outermost; composed once at start. Without
 * middleware the method is called as it is, and where nothing returns a promise none is made.
 */
export function composeConsume(
  middlewares: readonly ConsumeMiddleware[],
  method: HandlerFunction,
): Invoke {
  const call = method as (body: unknown, ctx: MessageContext) => unknown;
  return middlewares.reduceRight<Invoke>(
    (next, middleware) => (ctx, body) => middleware(ctx, () => next(ctx, body)),
    (ctx, body) => call(body, ctx),
  );
}

/** `last`, wrapped in middleware, the first outermost. */
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

/** Throws for what is no middleware. */
export function checkMiddleware(middleware: unknown, where: string): void {
  if (typeof middleware === 'function') return;
  const given = isObject(middleware) ? Object.entries(middleware) : [];
  const isFine = given.every(
    ([key, value]) => (key === 'consume' || key === 'publish') && typeof value === 'function',
  );
  if (given.length === 0 || !isFine) {
    throw new SetupError(
      `${where}: a middleware must be a function (ctx, next) or an object { consume, publish } of functions, got ${got(middleware)}`,
    );
  }
}
