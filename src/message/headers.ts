import { EncodeError } from '../errors.ts';

/** Headers as a user gives them; numbers and booleans travel as their text. */
export type HeadersInput = Readonly<Record<string, string | number | boolean>>;

/** Headers as they arrive: always text, system headers included. */
export type Headers = Readonly<Record<string, string>>;

/** Names that FastStream puts on the wire. */
export const CORRELATION_ID = 'correlation_id';
export const CONTENT_TYPE = 'content-type';
export const REPLY_TO = 'reply_to';

/** Names of our own; FastStream carries them along and ignores them. */
export const CALL = 'redstart-call';
export const STATUS = 'redstart-status';
/** Unix milliseconds until which a caller waits. */
export const DEADLINE = 'redstart-deadline';
/** A request that was sent before, in case it was lost: not to be handled twice. */
export const AGAIN = 'redstart-again';
/** Items that a caller has room for: it wants a stream. */
export const WINDOW = 'redstart-window';
/** The place of an item in its stream, from 1; on the last word, how many there were. */
export const SEQUENCE = 'redstart-sequence';
/** A question to all: whoever gets it says its name. */
export const GATHER = 'redstart-gather';
/** Host and process of a responder. */
export const NAME = 'redstart-name';
/** The inbox of whoever sent this, for what a call's two sides tell each other while it lasts. */
export const FROM = 'redstart-from';
/** `list` or `stream`: where `reply_to` is, when it is not a channel. */
export const REPLY_KIND = 'redstart-reply-kind';

/** In a dead letter: what went wrong, and the error's code where it has one. */
export const ERROR = 'redstart-error';
export const ERROR_CODE = 'redstart-error-code';
/** In a dead letter: how often it was delivered. */
export const DELIVERIES = 'redstart-deliveries';
/** In a dead letter: `stream orders` or `list orders`, the entry's id there and the group that gave it up. */
export const ORIGIN = 'redstart-origin';
export const ORIGIN_ID = 'redstart-origin-id';
export const ORIGIN_GROUP = 'redstart-origin-group';
/** In a dead letter: `raw` or `fields`, where what came was no frame. */
export const ORIGIN_FORM = 'redstart-origin-form';
/** In a dead letter: where the sender wanted the result. */
export const ORIGIN_REPLY_TO = 'redstart-origin-reply-to';
/** In a dead letter: Unix milliseconds. */
export const DIED_AT = 'redstart-died-at';

/** The text of one header value. Throws {@link EncodeError} naming the header for anything but text, number or boolean. */
export function headerText(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
  throw new EncodeError(
    `header '${name}' must be a string, a number or a boolean, got ${got}: leave it out or put it in the body`,
  );
}
