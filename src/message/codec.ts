import { isUtf8 } from 'node:buffer';
import { types } from 'node:util';
import { DecodeError, EncodeError, messageOf } from '../errors.ts';
import { describeMisfit, findMisfit, parseJson } from '../internal/json.ts';
import { unawaited } from '../internal/promises.ts';

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
 * a string becomes `text/plain`, any other value becomes JSON; what JSON would lose (a Map, a Set,
 * typed arrays but Uint8Array, an Error) is refused. Decoding: a body without a content
 * type is parsed as JSON; if that fails, its bytes are the value. An empty one is `null`.
 * NaN and Infinity are read, since Python writes them; JSON written here has `null` for them.
 */
export const defaultCodec: Codec = {
  encode(value) {
    if (typeof value === 'string') return { body: value, contentType: TEXT_TYPE };
    if (value === undefined || value === null) return NOTHING;
    // Also those of another realm, as Jest runs tests in.
    if (types.isUint8Array(value)) return { body: value };
    return { body: toJson(value), contentType: JSON_TYPE };
  },

  decode(body, contentType) {
    if (contentType === undefined) return body.length === 0 ? null : parseUntyped(body);
    if (isType(contentType, TEXT_TYPE)) return text(body, 0, contentType);
    if (isType(contentType, JSON_TYPE)) return fromJson(body, 0, contentType);
    return body;
  },
};

/** Decodes the body that begins at `from`. The default codec's JSON is read in place. */
export function decodeBody(
  codec: Codec,
  bytes: Buffer,
  from: number,
  contentType: string | undefined,
): unknown {
  if (codec === defaultCodec && contentType === JSON_TYPE)
    return fromJson(bytes, from, contentType);
  const value = codec.decode(from === 0 ? bytes : bytes.subarray(from), contentType);
  if (value instanceof Promise && unawaited(value))
    throw new DecodeError("the codec's decode returned a promise: it must return the value itself");
  return value;
}

function fromJson(bytes: Buffer, from: number, contentType: string): unknown {
  if (from === bytes.length) return null;
  try {
    return parseJson(text(bytes, from, contentType));
  } catch (cause) {
    if (cause instanceof DecodeError) throw cause;
    // Without the parser's message: it quotes the body, and this error may be sent to the caller.
    throw new DecodeError('the body is not the JSON that its content type says', { cause });
  }
}

function toJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new EncodeError(`the value cannot be sent as JSON: ${messageOf(cause)}`, { cause });
  }
  if (text === undefined) throw new EncodeError(`a ${typeof value} cannot be sent as JSON`);
  const misfit = findMisfit(value, text);
  if (misfit !== undefined) throw new EncodeError(describeMisfit(misfit));
  return text;
}

/** Whether the content type is `type`, with or without parameters (`; charset=utf-8`). */
function isType(contentType: string, type: string): boolean {
  return (
    contentType === type ||
    (contentType.startsWith(type) && /^\s*;/.test(contentType.slice(type.length)))
  );
}

function text(bytes: Buffer, from: number, contentType: string): string {
  const decoded = bytes.toString('utf8', from);
  // What is not UTF-8 is decoded as this character: a text without it need not be checked.
  if (!decoded.includes('\ufffd') || isUtf8(bytes.subarray(from))) return decoded;
  throw new DecodeError(
    `the body is not valid UTF-8, which its content type '${contentType}' requires`,
  );
}

function parseUntyped(body: Buffer): unknown {
  // Every JSON text begins with one of these characters. This test avoids an exception for most other bodies.
  if (!/[\s{["\-0-9tfnNI]/.test(String.fromCharCode(body[0] as number))) return body;
  if (!isUtf8(body)) return body;
  try {
    return parseJson(body.toString());
  } catch {
    return body; // not JSON: the value is the bytes
  }
}
