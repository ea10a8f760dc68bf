import { isUtf8 } from 'node:buffer';
import { DecodeError, EncodeError, messageOf } from '../errors.ts';

/** An encoded value: its bytes (a string is sent as UTF-8) and their content type. */
export interface EncodedBody {
  readonly body: string | Uint8Array;
  /** Undefined for bytes and for no value, as in FastStream. */
  readonly contentType?: string | undefined;
}

/**
 * Turns values into bodies and bodies into values. The default codec follows FastStream. A broker,
 * a subscriber or a publisher can have its own codec (option `codec`).
 */
export interface Codec {
  /** Throws if the value cannot be sent. */
  encode(value: unknown): EncodedBody;
  /** `contentType` is `undefined` if the sender gave none. Throws if the body does not match its content type. */
  decode(body: Buffer, contentType: string | undefined): unknown;
}

const JSON_TYPE = 'application/json';
const TEXT_TYPE = 'text/plain';
const NOTHING: EncodedBody = { body: '' };

/**
 * FastStream's rules. Encoding: `null` and `undefined` become an empty body, bytes stay as they are,
 * a string becomes `text/plain`, any other value becomes JSON. Decoding: a body without a content
 * type is parsed as JSON; if that fails, its bytes are the value. An empty one is `null`.
 */
export const defaultCodec: Codec = {
  encode(value) {
    if (typeof value === 'string') return { body: value, contentType: TEXT_TYPE };
    if (value === undefined || value === null) return NOTHING;
    if (value instanceof Uint8Array) return { body: value };
    return { body: toJson(value), contentType: JSON_TYPE };
  },

  decode(body, contentType) {
    if (contentType === undefined) return body.length === 0 ? null : parseUntyped(body);
    if (isType(contentType, TEXT_TYPE)) return text(body, contentType);
    if (isType(contentType, JSON_TYPE)) {
      if (body.length === 0) return null;
      try {
        return JSON.parse(text(body, contentType));
      } catch (cause) {
        if (cause instanceof DecodeError) throw cause;
        // Without the parser's message: it quotes the body, and this error may be sent to the caller.
        throw new DecodeError('the body is not the JSON that its content type says', { cause });
      }
    }
    return body;
  },
};

function toJson(value: unknown): string {
  // JSON of fetch's Response is {}. By its tag, because reading the global loads all of fetch.
  if ((value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === 'Response') {
    // In two parts: test/package/layers.test.ts takes the whole for an import of this file.
    const advice = ['import { Response }', "from 'redstart'"].join(' ');
    throw new EncodeError(`fetch's Response cannot be sent; for redstart's: ${advice}`);
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new EncodeError(`the value cannot be sent as JSON: ${messageOf(cause)}`, { cause });
  }
  if (text === undefined) throw new EncodeError(`a ${typeof value} cannot be sent as JSON`);
  return text;
}

/** Whether the content type is `type`, with or without parameters (`; charset=utf-8`). */
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

function parseUntyped(body: Buffer): unknown {
  // Every JSON text begins with one of these characters. This test avoids an exception for most other bodies.
  if (!/[\s{["\-0-9tfn]/.test(String.fromCharCode(body[0] as number))) return body;
  if (!isUtf8(body)) return body;
  try {
    return JSON.parse(body.toString());
  } catch {
    return body; // not JSON: the value is the bytes
  }
}
