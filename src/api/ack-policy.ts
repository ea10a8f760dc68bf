/**
 * What becomes of a stream group's entry, or a reliable list's item, when its handler is done.
 *
 * - `ack`: acknowledged, whatever happened.
 * - `ack-first`: acknowledged before the handler runs.
 * - `reject-on-error` (default): success acknowledges; an error rejects: acknowledged and logged.
 * - `nack-on-error`: success acknowledges; an error leaves it pending, delivered again after a backoff.
 * - `manual`: nothing happens unless the handler calls `ctx.ack()`, `ctx.nack()` or `ctx.reject()`.
 */
export type AckPolicy = (typeof ACK_POLICIES)[number];

export const ACK_POLICIES = [
  'ack',
  'ack-first',
  'reject-on-error',
  'nack-on-error',
  'manual',
] as const;
