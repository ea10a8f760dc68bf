/**
 * What becomes of a stream group's entry, or a reliable list's item, when its handler is done.
 *
 * - `ack`: acknowledged, whatever happened.
 * - `ack-first`: acknowledged before the handler runs.
 * - `nack-on-error` (default): success acknowledges; an error has it delivered again (`retry`), and in
 *   the end sent to the dead letters (`deadLetter`).
 * - `reject-on-error`: success acknowledges; an error sends it to the dead letters at once.
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
