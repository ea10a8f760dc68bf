import type { HeadersInput } from '../message/headers.ts';
import type { Kind, Target } from '../transport/address.ts';

/** Where an answer is to go, and what finds the call that it belongs to. */
export interface ReplyAddress {
  /** Full name, prefix included. */
  readonly name: string;
  readonly kind: Kind;
}

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
 */
export type PublishMiddleware = (command: PublishCommand, next: () => Promise<unknown>) => unknown;

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
