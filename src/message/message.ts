import { randomId } from '../internal/ids.ts';
import { findHeaders, preEncodeName, readHeaders, type Frame, type HeaderKey } from './envelope.ts';
import {
  AGAIN,
  CALL,
  CONTENT_TYPE,
  CORRELATION_ID,
  DEADLINE,
  FOR,
  FROM,
  GATHER,
  NAME,
  REPLY_KIND,
  REPLY_TO,
  SEQUENCE,
  STATUS,
  WINDOW,
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
  private allHeaders: Headers | undefined;
  private correlation: string | undefined;
  /** The values of {@link KEYS}, once one of them has been read. */
  private known: (string | undefined)[] | undefined;

  /** @internal */
  constructor(raw: Buffer, frame: Frame, source: MessageSource, id?: string, deliveryCount = 1) {
    this.body = undefined as Body;
    this.raw = raw;
    this.source = source;
    this.id = id;
    this.deliveryCount = deliveryCount;
    this.frame = frame;
    this.allHeaders = undefined;
    this.correlation = undefined;
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

  get contentType(): string | undefined {
    return this.header(CONTENT_TYPE_KEY);
  }

  /** The address that the sender wants the answer at. */
  get replyTo(): string | undefined {
    return this.header(REPLY_TO_KEY) || undefined;
  }

  /** The time until which the caller waits, in Unix milliseconds; undefined if it sent none. @internal */
  get deadline(): number | undefined {
    const text = this.header(DEADLINE_KEY);
    const time = text === undefined ? NaN : Number(text);
    return Number.isFinite(time) ? time : undefined;
  }

  /** The body before decoding. @internal */
  get payload(): Buffer {
    return this.frame.body === 0 ? this.frame.bytes : this.frame.bytes.subarray(this.frame.body);
  }

  /** One of the headers in {@link KEYS}, without decoding the user's headers. @internal */
  header(key: HeaderKey): string | undefined {
    if (this.frame.headers !== undefined) return this.frame.headers[key.name];
    return (this.known ??= findHeaders(this.frame, KEYS))[key.index];
  }
}

/** The headers that redstart reads, by the length of their names. */
const KEYS: HeaderKey[][] = [];
let keys = 0;

function key(name: string): HeaderKey {
  preEncodeName(name);
  const made = { name, bytes: Buffer.from(name), index: keys++ };
  (KEYS[name.length] ??= []).push(made);
  return made;
}

export const CORRELATION_ID_KEY: HeaderKey = key(CORRELATION_ID);
export const CONTENT_TYPE_KEY: HeaderKey = key(CONTENT_TYPE);
export const REPLY_TO_KEY: HeaderKey = key(REPLY_TO);
export const CALL_KEY: HeaderKey = key(CALL);
export const STATUS_KEY: HeaderKey = key(STATUS);
export const DEADLINE_KEY: HeaderKey = key(DEADLINE);
export const AGAIN_KEY: HeaderKey = key(AGAIN);
export const FROM_KEY: HeaderKey = key(FROM);
export const REPLY_KIND_KEY: HeaderKey = key(REPLY_KIND);
export const WINDOW_KEY: HeaderKey = key(WINDOW);
export const SEQUENCE_KEY: HeaderKey = key(SEQUENCE);
export const GATHER_KEY: HeaderKey = key(GATHER);
export const NAME_KEY: HeaderKey = key(NAME);
export const FOR_KEY: HeaderKey = key(FOR);
