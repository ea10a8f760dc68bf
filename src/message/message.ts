import { randomId } from '../internal/ids.ts';
import { decodeBody, type Codec } from './codec.ts';
import {
  findHeaders,
  headerAt,
  isHeaderAt,
  preEncodeName,
  readHeaders,
  type Frame,
  type HeaderKey,
} from './envelope.ts';
import {
  AGAIN,
  CALL,
  CONTENT_TYPE,
  CORRELATION_ID,
  DEADLINE,
  EXPIRES,
  FOR,
  FROM,
  GATHER,
  KEY,
  MESSAGE_ID,
  NAME,
  REDRIVEN,
  REPLY_KIND,
  REPLY_TO,
  SEQUENCE,
  STATUS,
  WINDOW,
  WINDOW_BYTES,
  type Headers,
} from './headers.ts';

/** Where a message came from: the channel (for a pattern, the one that matched), list or stream. */
export type MessageSource =
  | { readonly channel: string }
  | { readonly list: string }
  | { readonly stream: string };

/** One message as a handler, a middleware or a caller sees it. */
export class ReceivedMessage<Body = unknown> {
  /** Decoded by content type; with a schema, its output. */
  body: Body;
  /** The bytes as they came from Redis: the whole frame. */
  readonly raw: Buffer;
  readonly source: MessageSource;
  /** The id of the stream entry; `undefined` for channels and lists. */
  readonly id: string | undefined;
  /**
   * How often this entry has been delivered, this time included; always 1 on channels, plain lists
   * and streams without a group.
   */
  readonly deliveryCount: number;

  /** @internal */
  readonly frame: Frame;
  /** Why it cannot be read; undefined where it can. @internal */
  damage: Error | undefined;
  private allHeaders: Headers | undefined;
  private correlation: string | undefined;
  private ownId: string | undefined;
  /** Where the values of {@link KEYS} begin, once one of them was asked for; the value itself once it was read. */
  private known: (number | string | undefined)[] | undefined;

  /** @internal */
  constructor(raw: Buffer, frame: Frame, source: MessageSource, id?: string, deliveryCount = 1) {
    this.body = undefined as Body;
    this.raw = raw;
    this.source = source;
    this.id = id;
    this.deliveryCount = deliveryCount;
    this.frame = frame;
    this.damage = undefined;
    this.allHeaders = undefined;
    this.correlation = undefined;
    this.ownId = undefined;
    this.known = undefined;
  }

  /** All headers, including `correlation_id`, `content-type` and `reply_to`. */
  get headers(): Headers {
    return (this.allHeaders ??= readHeaders(this.frame));
  }

  /** The sender's correlation id; a new random id if it sent none. */
  get correlationId(): string {
    return (this.correlation ??= this.header(CORRELATION_ID_KEY) ?? randomId(22));
  }

  /** The sender's id of the message; of a stream's entry without one, the entry's id; else a new random id. */
  get messageId(): string {
    return (this.ownId ??= this.header(MESSAGE_ID_KEY) ?? this.id ?? randomId(22));
  }

  get contentType(): string | undefined {
    return this.header(CONTENT_TYPE_KEY);
  }

  /** The sender's `key`: messages that have the same one belong in order. */
  get key(): string | undefined {
    return this.header(KEY_KEY);
  }

  /** The address for the answer. */
  get replyTo(): string | undefined {
    return this.header(REPLY_TO_KEY) || undefined;
  }

  /** The time until which the caller waits, in Unix milliseconds; undefined if it sent none. @internal */
  get deadline(): number | undefined {
    const text = this.header(DEADLINE_KEY);
    const time = text === undefined ? NaN : Number(text);
    return time > 0 && time < Infinity ? time : undefined;
  }

  /** The time after which nobody is to handle it, in the server's Unix milliseconds; undefined if it has none. @internal */
  get expires(): number | undefined {
    return this.count(EXPIRES_KEY);
  }

  /** A header that holds a whole number, 0 or more; undefined where it holds anything else. @internal */
  count(key: HeaderKey): number | undefined {
    const text = this.header(key);
    if (text === undefined) return undefined;
    return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  /** The name of a header that redstart reads and whose value is too long to be read, if there is one. @internal */
  get oversized(): string | undefined {
    const { headers } = this.frame;
    if (headers === undefined)
      return (this.known ??= findHeaders(this.frame, KEYS))[0] as string | undefined;
    return KEYS.flat().find(({ name, max }) => (headers[name]?.length ?? 0) > max)?.name;
  }

  /** What `JSON.stringify`, `console.log` and loggers show: all but the bytes. */
  toJSON(): object {
    const { body, source, id, messageId, correlationId, deliveryCount } = this;
    const { key: belongsTo, contentType, replyTo, headers } = this;
    const ids = { source, id, messageId, correlationId, deliveryCount };
    return { ...ids, key: belongsTo, contentType, replyTo, headers, body };
  }

  /** @internal */
  [Symbol.for('nodejs.util.inspect.custom')](): object {
    return this.toJSON();
  }

  /** The body as `codec` decodes it. Throws what the codec throws. @internal */
  decode(codec: Codec): unknown {
    return decodeBody(codec, this.frame.bytes, this.frame.body, this.contentType);
  }

  /** The body before decoding. @internal */
  get payload(): Buffer {
    return this.frame.body === 0 ? this.frame.bytes : this.frame.bytes.subarray(this.frame.body);
  }

  /**
   * One of the headers in {@link KEYS}, without decoding the user's headers; undefined where its value
   * is too long. @internal
   */
  header(key: HeaderKey): string | undefined {
    const { headers } = this.frame;
    if (headers !== undefined) {
      const value = headers[key.name];
      return value === undefined || value.length > key.max ? undefined : value;
    }
    const known = (this.known ??= findHeaders(this.frame, KEYS));
    const found = known[key.index];
    if (typeof found !== 'number') return found;
    const { bytes } = this.frame;
    const value =
      key === CONTENT_TYPE_KEY && isHeaderAt(bytes, found, JSON_BYTES)
        ? JSON_TYPE
        : headerAt(bytes, found);
    known[key.index] = value;
    return value;
  }
}

/** The content type of nearly all messages: compared, not decoded. */
const JSON_TYPE = 'application/json';
const JSON_BYTES = Buffer.from(JSON_TYPE);

/** The headers that redstart reads, by the length of their names. */
const KEYS: HeaderKey[][] = [];
let keys = 0;

/** The longest name of a channel, list or stream, correlation id and key, that is read; in bytes. */
export const MAX_NAME = 1_024;
/** The longest id of a call. redstart's own have 16 bytes. */
const MAX_ID = 128;
/** The longest number or word. */
const MAX_WORD = 32;

function key(name: string, max: number): HeaderKey {
  preEncodeName(name);
  const made = { name, bytes: Buffer.from(name), index: ++keys, max };
  (KEYS[name.length] ??= []).push(made);
  return made;
}

export const CORRELATION_ID_KEY: HeaderKey = key(CORRELATION_ID, MAX_NAME);
export const CONTENT_TYPE_KEY: HeaderKey = key(CONTENT_TYPE, MAX_NAME);
export const REPLY_TO_KEY: HeaderKey = key(REPLY_TO, MAX_NAME);
export const CALL_KEY: HeaderKey = key(CALL, MAX_ID);
export const STATUS_KEY: HeaderKey = key(STATUS, MAX_WORD);
export const DEADLINE_KEY: HeaderKey = key(DEADLINE, MAX_WORD);
export const AGAIN_KEY: HeaderKey = key(AGAIN, MAX_WORD);
export const FROM_KEY: HeaderKey = key(FROM, MAX_NAME);
export const REPLY_KIND_KEY: HeaderKey = key(REPLY_KIND, MAX_WORD);
export const WINDOW_KEY: HeaderKey = key(WINDOW, MAX_WORD);
export const WINDOW_BYTES_KEY: HeaderKey = key(WINDOW_BYTES, MAX_WORD);
export const SEQUENCE_KEY: HeaderKey = key(SEQUENCE, MAX_WORD);
export const GATHER_KEY: HeaderKey = key(GATHER, MAX_WORD);
export const NAME_KEY: HeaderKey = key(NAME, MAX_NAME);
export const FOR_KEY: HeaderKey = key(FOR, MAX_NAME);
const KEY_KEY: HeaderKey = key(KEY, MAX_NAME);
export const REDRIVEN_KEY: HeaderKey = key(REDRIVEN, MAX_WORD);
export const MESSAGE_ID_KEY: HeaderKey = key(MESSAGE_ID, MAX_NAME);
const EXPIRES_KEY: HeaderKey = key(EXPIRES, MAX_WORD);
