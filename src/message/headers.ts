import { EncodeError } from '../errors.ts';
import { got } from '../internal/checks.ts';

/** Headers as a user gives them; numbers and booleans are sent as text. */
export type HeadersInput = Readonly<Record<string, string | number | boolean>>;

/** Headers of a received message, redstart's own included: always text. */
export type Headers = Readonly<Record<string, string>>;

/** Header names that FastStream uses, too. */
export const CORRELATION_ID = 'correlation_id';
export const CONTENT_TYPE = 'content-type';
export const REPLY_TO = 'reply_to';
/** The id that the sender gave the message. FastStream reads it and never writes it. */
export const MESSAGE_ID = 'message_id';

/** Header names of redstart; FastStream ignores them. */
export const CALL = 'redstart-call';
export const STATUS = 'redstart-status';
/** The time until which the caller waits, in Unix milliseconds. */
export const DEADLINE = 'redstart-deadline';
/** The time after which a message is dropped unhandled, in the server's Unix milliseconds. */
export const EXPIRES = 'redstart-expires';
/** Marks a request that is sent again because it may have been lost; it must not be handled twice. */
export const AGAIN = 'redstart-again';
/** The number of items that the caller can take; a request with this header asks for a stream. */
export const WINDOW = 'redstart-window';
/** Beside it: the bytes of items that may be on their way or unread before the next item is sent. */
export const WINDOW_BYTES = 'redstart-window-bytes';
/** The number of an item in its stream, from 1; on the end message, the number of all items. */
export const SEQUENCE = 'redstart-sequence';
/** Marks a `gather` request: each responder first sends its name. */
export const GATHER = 'redstart-gather';
/** Host and process id of a responder. */
export const NAME = 'redstart-name';
/** The inbox of the sender, for control messages during the call. */
export const FROM = 'redstart-from';
/** The kind of `reply_to`: `list` or `stream`; missing for a channel. */
export const REPLY_KIND = 'redstart-reply-kind';

/** Messages with the same key are handled in order, one at a time, where a subscriber is `ordered`. */
export const KEY = 'redstart-key';

/** In a message that was a dead letter and was sent back to its stream: the group that it is for. Other groups skip it. */
export const FOR = 'redstart-for';

/** The trace that the sender was in (W3C Trace Context). */
export const TRACE = 'traceparent';
/** In a message with a trace that was a dead letter and was sent back: `1`. The trace was over long ago. */
export const REDRIVEN = 'redstart-redriven';

/** In a dead letter: the message of the error, and its code if it has one. */
export const ERROR = 'redstart-error';
export const ERROR_CODE = 'redstart-error-code';
/** In a dead letter: how often the message was delivered. */
export const DELIVERIES = 'redstart-deliveries';
/**
 * In a dead letter: where the message was (`stream orders` or `list orders`), the entry's id there,
 * and the group that gave it up.
 */
export const ORIGIN = 'redstart-origin';
export const ORIGIN_ID = 'redstart-origin-id';
export const ORIGIN_GROUP = 'redstart-origin-group';
/** In a dead letter whose body is all of what came: `raw` (bytes) or `fields` (of a stream entry). */
export const ORIGIN_FORM = 'redstart-origin-form';
/** In a dead letter of a subscriber with a `format` of its own: the frame to send back, as Base64. */
export const ORIGIN_FRAME = 'redstart-origin-frame';
/** In a dead letter: put before names of the message's own headers that would else speak of its death. */
export const BEFORE = 'redstart-before:';
/** In a dead letter: the `reply_to` of the message. */
export const ORIGIN_REPLY_TO = 'redstart-origin-reply-to';
/** In a dead letter: when it was written, in Unix milliseconds. */
export const DIED_AT = 'redstart-died-at';

/** The text of one header value. Throws {@link EncodeError} for anything but a string, a number or a boolean. */
export function headerText(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
  throw new EncodeError(
    `header '${name}' must be a string, a number or a boolean, got ${got}: leave it out or put it in the body`,
  );
}

/** Throws {@link EncodeError} for headers that are no plain object: a Map or fetch's Headers would be sent as none. */
export function checkHeaders(headers: unknown): void {
  if (headers === undefined || isPlainHeaders(headers)) return;
  throw new EncodeError(`headers must be ${expectedHeaders(headers)}, got ${got(headers)}`);
}

const PLAIN_HEADERS =
  'a plain object of strings, numbers and booleans (Object.fromEntries makes one of a Map or Headers)';

/** What `headers` must be, said to somebody who gave this. */
export function expectedHeaders(given: unknown): string {
  return typeof given === 'object' && given !== null ? PLAIN_HEADERS : 'an object';
}

export function isPlainHeaders(headers: unknown): headers is object {
  return typeof headers === 'object' && headers !== null && !(Symbol.iterator in headers);
}
