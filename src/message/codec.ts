import { isUtf8 } from 'node:buffer';
import { DecodeError, EncodeError, messageOf } from '../errors.ts';

/** A value as bytes (text is sent as UTF-8) and what they are. */
export interface EncodedBody {
  readonly body: string | Uint8Array;
  /** Left out for bytes and for "no value", as FastStream does. */
  readonly contentType?: string | undefined;
}

/**
 * Turns values into bodies and back. The default follows FastStream; a codec of your own can be
 * given to a broker, a subscriber or a publisher.
 */
export interface Codec {
  /** Throws where the value cannot be sent. */
  encode(value: unknown): EncodedBody;
  /** `contentType` is `undefined` where the sender gave none. Throws where the body is not what it claims to be. */
  decode(body: Buffer, contentType: string | undefined): unknown;
}

const JSON_TYPE = 'application/json';
const TEXT_TYPE = 'text/plain';
const NOTHING: EncodedBody = { body: '' };

/**
 * FastStream's rules. `null` and `undefined`: empty body. Bytes: as they are. Text: `text/plain`.
 * Everything else: JSON. Coming back, a body without a content type is JSON if it parses and bytes
 * otherwise, and an empty one is `null`.
 */
export const defaultCodec: Codec = {
  encode(value) {
    if (typeof value === 'string') return { body: value, contentType: TEXT_TYPE };
    if (value === undefined || value === null) return NOTHING;
    if (value instanceof Uint8Array) return { body: value };
    return { body: toJson(value), contentType: JSON_TYPE };
  },

  decode(body, contentType) {
    if (contentType === undefined) return body.length === 0 ? null : guess(body);
    if (isType(contentType, TEXT_TYPE)) return text(body, contentType);
    if (isType(contentType, JSON_TYPE)) {
      if (body.length === 0) return null;
      try {
        return JSON.parse(text(body, contentType));
      } catch (cause) {
        if (cause instanceof DecodeError) throw cause;
        // The parser's own message quotes the body, and ours may cross the wire to the caller.
        throw new DecodeError('the body is not the JSON that its content type says', { cause });
      }
    }
    return body;
  },
};

function toJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new EncodeError(`the value cannot be sent as JSON: ${messageOf(cause)}`, { cause });
  }
  if (text === undefined) throw new EncodeError(`a ${typeof value} cannot be sent as JSON`);
  return text;
}

/** `type`, with or without parameters (`; charset=utf-8`). */
function isType(contentType: string, type: string): boolean {
  return (
    contentType === type ||
    (contentType.startsWith(type) && /^\s*;/.test(contentType.slice(type.length)))
  );
}

function text(body: Buffer, contentType: string): string {
  if (isUtf8(body)) return body.toString();
  throw new DecodeError(
    `the body is not valid UTF-8, which its content type '${contentType}' requires`,
  );
}

function guess(body: Buffer): unknown {
  // A JSON text begins with one of these; asking first spares foreign payloads an exception each.
  if (!/[\s{["\-0-9tfn]/.test(String.fromCharCode(body[0] as number))) return body;
  if (!isUtf8(body)) return body;
  try {
    return JSON.parse(body.toString());
  } catch {
    return body; // not JSON and nobody said so: raw bytes
  }
}
