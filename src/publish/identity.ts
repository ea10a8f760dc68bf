import { isId } from '../api/identity.ts';
import { SetupError } from '../errors.ts';
import { got } from '../internal/checks.ts';
import { digestOfFrame } from '../message/digest.ts';
import type { Extras } from '../message/extras.ts';
import type { MessageFormat } from '../message/format.ts';
import { describe, type Target } from '../transport/address.ts';
import type { Once } from '../transport/marks.ts';
import type { AnyOptions } from './check.ts';
import type { Verb } from './contracts.ts';

/** The id of one message of these options. */
export function idOf(
  id: NonNullable<AnyOptions['id']>,
  body: unknown,
  index: number,
  verb: Verb,
): string {
  if (typeof id !== 'function') return id;
  const made: unknown = id(body, index);
  if (isId(made)) return made;
  throw new SetupError(
    `${verb}: 'id' must return a string of 1 to 1024 bytes for each message, got ${got(made)} for the message at ${index}`,
  );
}

/** What a message is sent once by; undefined for one without an id. */
export function onceOf(
  extras: Extras,
  to: Target,
  frame: Uint8Array,
  format: MessageFormat,
  window: number,
): Once | undefined {
  const { id, idWindow } = extras;
  if (id === undefined) return undefined;
  // Checked before, but middleware may have chosen another place.
  if (to.kind === 'channel')
    throw new SetupError(
      `'id' needs a list or a stream: publish middleware sends the message to ${describe(to)}`,
    );
  const onKnown = (): void => {
    extras.isKnown = true;
  };
  return { id, digest: digestOfFrame(frame, format), window: idWindow ?? window, onKnown };
}
