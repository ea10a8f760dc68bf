import { IdConflictError } from '../errors.ts';
import { describe, type Target } from './address.ts';

/** What a message is sent once by. */
export interface Once {
  readonly id: string;
  /** Of the body: another body under the same id is refused. */
  readonly digest: string;
  /** Milliseconds in which the id is known. */
  readonly window: number;
}

/** The error for an id that was used for another body. */
export function idConflict(to: Target, id: string): IdConflictError {
  return new IdConflictError(
    `the id '${id}' was used for another body, which was sent to ${describe(to)}: send another message under another id`,
  );
}
