/** How one delivery ended. Reply, acknowledgement and logging are decisions taken on this value. */
export type Outcome =
  | { readonly kind: 'ok'; readonly result: unknown }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'skipped' };

/** Not for this subscriber: a channel name that fits its glob but not its template. */
export const SKIPPED: Outcome = { kind: 'skipped' };

export function ok(result: unknown): Outcome {
  return { kind: 'ok', result };
}

export function failed(error: unknown): Outcome {
  return { kind: 'failed', error };
}
