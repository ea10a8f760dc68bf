import { types } from 'node:util';
import { EncodeError, RedstartError, messageOf } from '../errors.ts';
import { got } from '../internal/checks.ts';
import { unawaited } from '../internal/promises.ts';
import type { Codec, EncodedBody } from './codec.ts';
import { encodeFrame, pair } from './envelope.ts';
import { binaryFormat, encodedBy, type MessageFormat } from './format.ts';
import {
  checkHeaders,
  CONTENT_TYPE,
  CORRELATION_ID,
  KEY,
  REPLY_KIND,
  REPLY_TO,
  headerText,
  type HeadersInput,
} from './headers.ts';

/** The address that an answer is sent to. */
export interface ReplyAddress {
  /** The full name, with the broker's prefix. */
  readonly name: string;
  readonly kind: 'channel' | 'list' | 'stream';
}

/** The message that one frame holds. */
export interface Outgoing {
  readonly body: unknown;
  readonly correlationId: string;
  readonly headers: HeadersInput | undefined;
  readonly key?: string | undefined;
}

/** redstart's own headers, which come last in the frame. */
export type ExtraHeaders = Readonly<Record<string, string>> | undefined;

/** Encodes messages as frames, with one codec and one format. */
export class Encoder {
  /** Also decodes the answers to the requests that this encoder encodes. */
  readonly codec: Codec;
  readonly format: MessageFormat;
  readonly #maxBytes: number;
  #lastType: string | undefined;
  #lastTypePair = '';
  #lastReplyTo: ReplyAddress | undefined;
  #lastReplyPairs = '';

  /** `maxBytes`: the largest frame that is made. */
  constructor(codec: Codec, format: MessageFormat, maxBytes = Infinity) {
    this.codec = codec;
    this.format = format;
    this.#maxBytes = maxBytes;
  }

  /** Throws `EncodeError` if the message cannot be encoded or is too large; nothing is sent then. */
  encode(message: Outgoing, replyTo?: ReplyAddress, extra?: ExtraHeaders): Uint8Array {
    const frame = this.#encode(message, replyTo, extra);
    if (frame.length > this.#maxBytes) {
      throw new EncodeError(
        `the message is ${frame.length} bytes long, more than maxBytes (${this.#maxBytes}) allows: send it in parts, or give the broker a larger maxBytes`,
      );
    }
    return frame;
  }

  #encode(message: Outgoing, replyTo?: ReplyAddress, extra?: ExtraHeaders): Uint8Array {
    const { body, contentType } = this.#encodeBody(message.body);
    if (message.headers !== undefined || this.format !== binaryFormat) {
      return this.#encodeHeaders(message, body, contentType, replyTo, extra);
    }
    let pairs = pair(CORRELATION_ID, headerText(CORRELATION_ID, message.correlationId));
    let count = 1;
    if (contentType !== undefined) {
      pairs += this.#typePair(contentType);
      count++;
    }
    if (replyTo !== undefined) {
      pairs += this.#replyPairs(replyTo);
      count += replyTo.kind === 'channel' ? 1 : 2;
    }
    if (message.key !== undefined) {
      pairs += pair(KEY, headerText(KEY, message.key));
      count++;
    }
    for (const name in extra) {
      pairs += pair(name, extra[name] as string);
      count++;
    }
    return encodeFrame(pairs, count, body);
  }

  /** Throws `EncodeError` for what a codec of the user's makes that is no body. */
  #encodeBody(value: unknown): EncodedBody {
    let encoded: EncodedBody;
    try {
      encoded = this.codec.encode(value);
    } catch (cause) {
      if (cause instanceof RedstartError) throw cause;
      throw new EncodeError(`the codec cannot encode the value: ${messageOf(cause)}`, { cause });
    }
    const { body, contentType } = (encoded ?? {}) as Partial<EncodedBody>;
    const isBody = typeof body === 'string' || types.isUint8Array(body);
    if (isBody && (contentType === undefined || typeof contentType === 'string')) return encoded;
    unawaited(encoded);
    throw new EncodeError(
      `the codec must return { body, contentType }, a string or bytes and a string, got ${isBody ? `the contentType ${got(contentType)}` : got(body ?? encoded)}`,
    );
  }

  /** Keeps the last encoded pair: a broker sends few content types, so the next message usually has the same. */
  #typePair(contentType: string): string {
    if (contentType === this.#lastType) return this.#lastTypePair;
    this.#lastType = contentType;
    return (this.#lastTypePair = pair(CONTENT_TYPE, contentType));
  }

  /** Keeps the last encoded pairs: a broker has one inbox. */
  #replyPairs(replyTo: ReplyAddress): string {
    if (replyTo === this.#lastReplyTo) return this.#lastReplyPairs;
    this.#lastReplyTo = replyTo;
    const { name, kind } = replyTo;
    const kindPair = kind === 'channel' ? '' : pair(REPLY_KIND, kind);
    return (this.#lastReplyPairs = pair(REPLY_TO, name) + kindPair);
  }

  /**
   * The slower path, for user headers and other formats. A user header replaces a standard header
   * in its place, as in FastStream.
   */
  #encodeHeaders(
    message: Outgoing,
    body: string | Uint8Array,
    contentType: string | undefined,
    replyTo: ReplyAddress | undefined,
    extra: ExtraHeaders,
  ): Uint8Array {
    const headers = Object.create(null) as Record<string, string>;
    headers[CORRELATION_ID] = headerText(CORRELATION_ID, message.correlationId);
    if (contentType !== undefined) headers[CONTENT_TYPE] = contentType;
    if (replyTo !== undefined) {
      headers[REPLY_TO] = replyTo.name;
      if (replyTo.kind !== 'channel') headers[REPLY_KIND] = replyTo.kind;
    }
    checkHeaders(message.headers);
    for (const name in message.headers) {
      if (isReserved(name)) continue;
      headers[name] = headerText(name, message.headers[name]);
    }
    if (message.key !== undefined) headers[KEY] = headerText(KEY, message.key);
    Object.assign(headers, extra);
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    return encodedBy(this.format, { headers, body: bytes });
  }
}

/**
 * Whether users cannot set this header. A handler that returns the headers of its request would
 * otherwise ask for an answer to its answer.
 */
function isReserved(name: string): boolean {
  return name === REPLY_TO || name.startsWith('redstart-');
}
