import { deferred } from '../../src/internal/deferred.ts';

export interface Hanging {
  readonly handler: () => Promise<void>;
  /** How many have begun. */
  begun(): number;
  /** Ends all that have begun, and at once those that begin later: a stop would wait for them in vain. */
  end(): void;
}

/** A handler that does not end by itself, whatever its signal says. */
export function hanging(): Hanging {
  let begun = 0;
  const ended = deferred<void>();
  const handler = (): Promise<void> => {
    begun++;
    return ended.promise;
  };
  return { handler, begun: () => begun, end: () => ended.resolve() };
}
