import type { Codec } from './codec.ts';
import { encodeFrame, pair } from './envelope.ts';
import { binaryFormat, type MessageFormat } from './format.ts';
import {
  CONTENT_TYPE,
  CORRELATION_ID,
  REPLY_KIND,
  REPLY_TO,
  headerText,
  type HeadersInput,
} from './headers.ts';

/** Where an answer is to go. */
export interface ReplyAddress {
  /** Full name, prefix included. */
  readonly name: string;
  readonly kind: 'channel' | 'list' | 'stream';
}

/** What is written into one frame. */
export interface Outgoing {
  readonly body: unknown;
  readonly correlationId: string;
  readonly headers: HeadersInput | undefined;
}

/** Headers of ours that follow the system's. */
export type ExtraHeaders = Readonly<Record<string, string>> | undefined;

/** Values → frames, in one codec and one format. */
export class Encoder {
  /** Reads the answers to what is written here, too. */
  readonly codec: Codec;
  readonly #format: MessageFormat;
  #lastType: string | undefined;
  #lastTypePair = '';
  #lastReplyTo: ReplyAddress | undefined;
  #lastReplyPairs = '';

  constructor(codec: Codec, format: MessageFormat) {
    this.codec = codec;
    this.#format = format;
  }

  /** Throws `EncodeError` for what cannot be sent; nothing has been sent then. */
  encode(message: Outgoing, replyTo?: ReplyAddress, extra?: ExtraHeaders): Uint8Array {
    const { body, contentType } = this.codec.encode(message.body);
    if (message.headers !== undefined || this.#format !== binaryFormat) {
      return this.#encodeAny(message, body, contentType, replyTo, extra);
    }
    let pairs = pair(CORRELATION_ID, message.correlationId);
    let count = 1;
    if (contentType !== undefined) {
      pairs += this.#typePair(contentType);
      count++;
    }
    if (replyTo !== undefined) {
      pairs += this.#replyPairs(replyTo);
      count += replyTo.kind === 'channel' ? 1 : 2;
    }
    for (const name in extra) {
      pairs += pair(name, extra[name] as string);
      count++;
    }
    return encodeFrame(pairs, count, body);
  }

  /** A broker sends few types, and has one inbox: what was encoded last nearly always comes again. */
  #typePair(contentType: string): string {
    if (contentType === this.#lastType) return this.#lastTypePair;
    this.#lastType = contentType;
    return (this.#lastTypePair = pair(CONTENT_TYPE, contentType));
  }

  #replyPairs(replyTo: ReplyAddress): string {
    if (replyTo === this.#lastReplyTo) return this.#lastReplyPairs;
    this.#lastReplyTo = replyTo;
    const { name, kind } = replyTo;
    const kindPair = kind === 'channel' ? '' : pair(REPLY_KIND, kind);
    return (this.#lastReplyPairs = pair(REPLY_TO, name) + kindPair);
  }

  /** With headers of the user's, which replace the system's in their place, as FastStream has it. */
  #encodeAny(
    message: Outgoing,
    body: string | Uint8Array,
    contentType: string | undefined,
    replyTo: ReplyAddress | undefined,
    extra: ExtraHeaders,
  ): Uint8Array {
    const headers = Object.create(null) as Record<string, string>;
    headers[CORRELATION_ID] = message.correlationId;
    if (contentType !== undefined) headers[CONTENT_TYPE] = contentType;
    if (replyTo !== undefined) {
      headers[REPLY_TO] = replyTo.name;
      if (replyTo.kind !== 'channel') headers[REPLY_KIND] = replyTo.kind;
    }
    for (const name in message.headers) {
      if (isOurs(name)) continue;
      headers[name] = headerText(name, message.headers[name]);
    }
    Object.assign(headers, extra);
    return this.#format.encode({
      headers,
      body: typeof body === 'string' ? Buffer.from(body) : body,
    });
  }
}

/**
 * Headers that say who answers whom are never taken from a user's: a handler that answers with the
 * headers of its request would otherwise ask for an answer to its answer.
 */
function isOurs(name: string): boolean {
  return name === REPLY_TO || name.startsWith('redstart-');
}
