/** How one delivery ended. Reply, acknowledgement and logging are decisions taken on this value. */
export type Outcome =
  | { readonly kind: 'ok'; readonly result: unknown }
  | {
      readonly kind: 'failed';
      readonly error: unknown;
      readonly isBadInput?: true;
      readonly isFinal?: true;
    }
  | { readonly kind: 'skipped' }
  | { readonly kind: 'expired' };

/** Not for this subscriber: a channel name that fits its glob but not its template. */
export const SKIPPED: Outcome = { kind: 'skipped' };

/** Its caller has stopped waiting: not handled, and done with. */
export const EXPIRED: Outcome = { kind: 'expired' };

export function ok(result: unknown): Outcome {
  return { kind: 'ok', result };
}

export function failed(error: unknown): Outcome {
  return { kind: 'failed', error };
}

/** The message is at fault and not the handler, which has not run: it would fail again. */
export function badInput(error: unknown): Outcome {
  return { kind: 'failed', error, isBadInput: true };
}

/** Given up: no handler has it any more, nor does one for errors. */
export function givenUp(error: unknown): Outcome {
  return { kind: 'failed', error, isBadInput: true, isFinal: true };
}
