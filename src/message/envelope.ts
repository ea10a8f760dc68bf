/**
 * FastStream's BinaryMessageFormatV1, the frame that FastStream and redstart exchange:
 *
 *   magic(8) · u16 version · u32 headers start · u32 data start · u16 header count
 *   · (u16 length, key, u16 length, value)* · body to the end
 *
 * All integers are big-endian and all lengths count bytes. FastStream itself writes lengths in
 * characters, which breaks every non-ASCII header; {@link decodeFrame} recovers those.
 */
import { isUtf8 } from 'node:buffer';
import { DecodeError, EncodeError } from '../errors.ts';
import type { Headers } from './headers.ts';

const MAGIC = '\x89BIN\r\n\x1a\n';
const MAGIC_HIGH = 0x8942494e;
const MAGIC_LOW = 0x0d0a1a0a;
const VERSION = 1;
const HEADERS_START = 18;
const PAIRS_START = 20;
const MAX_LENGTH = 0xffff;

/** The lengths 0 to 255 as two bytes: nearly all keys and values are that short. */
const SMALL = Array.from({ length: 256 }, (_, value) => String.fromCharCode(0, value));

const PREAMBLE = MAGIC + uint16(VERSION) + uint32(HEADERS_START);

/** A decoded frame: the offsets of its parts. Headers are decoded only when they are read. */
export interface Frame {
  readonly bytes: Buffer;
  /** Offset of the first header pair; 0 without a header block. */
  readonly pairs: number;
  /** The number of header pairs that the frame declares. */
  readonly count: number;
  /** Offset of the body, which runs to the end. */
  readonly body: number;
  /** Headers that are decoded already: those of the legacy JSON envelope, or of a damaged header block. */
  readonly headers: Headers | undefined;
}

/** One encoded header. The bytes are in a latin1 string, so that one call writes a whole header block. */
export function pair(key: string, value: string): string {
  const v = utf8AsLatin1(value);
  if (v.length > MAX_LENGTH) {
    throw new EncodeError(
      `header '${key}' is ${v.length} bytes long, a frame holds ${MAX_LENGTH} at most: put it in the body`,
    );
  }
  return (ENCODED_NAMES.get(key) ?? encodeName(key)) + uint16(v.length) + v;
}

/** The encoded names of headers that most messages have. */
const ENCODED_NAMES = new Map<string, string>();

/** Encodes a header name in advance, once for all messages. */
export function preEncodeName(name: string): void {
  ENCODED_NAMES.set(name, encodeName(name));
}

function encodeName(key: string): string {
  const k = utf8AsLatin1(key);
  if (k.length > MAX_LENGTH)
    throw new EncodeError(
      `a header name of ${k.length} bytes is too long, a frame holds ${MAX_LENGTH} at most`,
    );
  return uint16(k.length) + k;
}

/** Makes a frame of a body and `count` header pairs, which {@link pair} has made. */
export function encodeFrame(pairs: string, count: number, body: string | Uint8Array): Buffer {
  if (count > MAX_LENGTH) {
    throw new EncodeError(`${count} headers are too many, a frame holds ${MAX_LENGTH} at most`);
  }
  const dataStart = PAIRS_START + pairs.length;
  const head = PREAMBLE + uint32(dataStart) + uint16(count) + pairs;
  if (typeof body === 'string') {
    const frame = Buffer.allocUnsafe(dataStart + Buffer.byteLength(body));
    frame.write(head, 0, 'latin1');
    frame.write(body, dataStart);
    return frame;
  }
  const frame = Buffer.allocUnsafe(dataStart + body.length);
  frame.write(head, 0, 'latin1');
  frame.set(body, dataStart);
  return frame;
}

/** Whether the bytes begin with the magic number of the binary format. */
export function isFrame(bytes: Buffer): boolean {
  return (
    bytes.length >= 8 && bytes.readUInt32BE(0) === MAGIC_HIGH && bytes.readUInt32BE(4) === MAGIC_LOW
  );
}

/**
 * Finds the parts of a frame. Bytes that do not begin with the magic number are no frame: all of
 * them are the body. Throws {@link DecodeError} for bytes that begin with it but are no valid frame.
 */
export function decodeFrame(bytes: Buffer): Frame {
  if (!isFrame(bytes)) {
    return legacyEnvelope(bytes) ?? { bytes, pairs: 0, count: 0, body: 0, headers: undefined };
  }
  if (bytes.length < PAIRS_START) {
    throw new DecodeError(
      `a frame of ${bytes.length} bytes is cut off inside its first ${PAIRS_START}`,
    );
  }
  const version = bytes.readUInt16BE(8);
  if (version !== VERSION) {
    throw new DecodeError(`frame version ${version} is not known, only version ${VERSION} is`);
  }
  const start = bytes.readUInt32BE(10);
  const body = bytes.readUInt32BE(14);
  if (start < HEADERS_START || start + 2 > body || body > bytes.length) {
    throw new DecodeError(
      `a frame of ${bytes.length} bytes gives impossible offsets: headers at ${start}, body at ${body}`,
    );
  }
  const pairs = start + 2;
  const count = bytes.readUInt16BE(start);
  const block = { bytes, pairs, count, body };
  const headers = endsAtBody(block) ? undefined : recoverHeaders(block);
  return { bytes, pairs, count, body, headers };
}

/** All headers of a frame, in order. */
export function readHeaders(frame: Frame): Headers {
  if (frame.headers !== undefined) return frame.headers;
  return readPairs(frame, skipBytes).headers;
}

/** A header that is looked for in every message, and its index in the result of {@link findHeaders}. */
export interface HeaderKey {
  readonly name: string;
  readonly bytes: Buffer;
  /** 1 or more: at index 0 is the name of a header whose value is too long. */
  readonly index: number;
  /** The longest value that is read, in bytes: what a stranger sends is echoed and remembered. */
  readonly max: number;
}

/** Header keys by the length of their names: most names differ in length, so few are compared byte by byte. */
export type HeaderKeys = readonly (readonly HeaderKey[] | undefined)[];

/**
 * Where the values of the headers in `keys` begin, and at index 0 the name of one that is too long and
 * is not to be read. Reads the block once, and decodes nothing: few headers of a message are needed.
 */
export function findHeaders(frame: Frame, keys: HeaderKeys): (number | string | undefined)[] {
  const { bytes } = frame;
  const found: (number | string | undefined)[] = [];
  let at = frame.pairs;
  for (let i = 0; i < frame.count; i++) {
    const keyLength = uint16At(bytes, at);
    const valueAt = at + 4 + keyLength;
    const length = uint16At(bytes, valueAt - 2);
    for (const key of keys[keyLength] ?? NONE) {
      if (!equals(bytes, at + 2, key.bytes)) continue;
      if (length <= key.max) found[key.index] = valueAt;
      else found[0] = key.name;
    }
    at = valueAt + length;
  }
  return found;
}

/** The header value that begins at `at`, as {@link findHeaders} found it. */
export function headerAt(bytes: Buffer, at: number): string {
  return bytes.toString('utf8', at, at + uint16At(bytes, at - 2));
}

/** Whether the header value that begins at `at` is `value`. */
export function isHeaderAt(bytes: Buffer, at: number, value: Buffer): boolean {
  return uint16At(bytes, at - 2) === value.length && equals(bytes, at, value);
}

const NONE: readonly HeaderKey[] = [];

function equals(bytes: Buffer, at: number, key: Buffer): boolean {
  for (let i = key.length - 1; i >= 0; i--) if (bytes[at + i] !== key[i]) return false;
  return true;
}

type HeaderBlock = Pick<Frame, 'bytes' | 'pairs' | 'count' | 'body'>;

/** Whether the header pairs end exactly where the body begins. */
function endsAtBody({ bytes, pairs, count, body }: HeaderBlock): boolean {
  let at = pairs;
  for (let i = 0; i < 2 * count; i++) {
    if (at + 2 > body) return false;
    at += 2 + uint16At(bytes, at);
  }
  return at === body;
}

/**
 * Headers of a block whose lengths are not in bytes: FastStream counts characters. If that does not
 * fit either, the headers before the damage.
 */
function recoverHeaders(block: HeaderBlock): Headers {
  const byCharacters = readPairs(block, skipCharacters);
  return byCharacters.isComplete ? byCharacters.headers : readPairs(block, skipBytes).headers;
}

/** Returns where a text of `length` ends, or -1 if that is after `end`. */
type Skip = (bytes: Buffer, at: number, length: number, end: number) => number;

function readPairs(block: HeaderBlock, skip: Skip): { headers: Headers; isComplete: boolean } {
  const { bytes, body } = block;
  const headers = emptyHeaders();
  let at = block.pairs;
  for (let i = 0; i < block.count; i++) {
    if (at + 2 > body) return { headers, isComplete: false };
    const keyEnd = skip(bytes, at + 2, bytes.readUInt16BE(at), body);
    if (keyEnd < 0 || keyEnd + 2 > body) return { headers, isComplete: false };
    const valueEnd = skip(bytes, keyEnd + 2, bytes.readUInt16BE(keyEnd), body);
    if (valueEnd < 0) return { headers, isComplete: false };
    headers[bytes.toString('utf8', at + 2, keyEnd)] = bytes.toString('utf8', keyEnd + 2, valueEnd);
    at = valueEnd;
  }
  return { headers, isComplete: at === body };
}

function skipBytes(_bytes: Buffer, at: number, length: number, end: number): number {
  return at + length > end ? -1 : at + length;
}

/** {@link Skip} for lengths in code points: skips each lead byte and its continuation bytes. */
function skipCharacters(bytes: Buffer, at: number, length: number, end: number): number {
  let next = at;
  for (let i = 0; i < length; i++) {
    if (next >= end) return -1;
    next++;
    while (next < end && ((bytes[next] as number) & 0xc0) === 0x80) next++;
  }
  return next;
}

/**
 * FastStream's older envelope `{"data": "…", "headers": {…}}`. An object with exactly these two
 * keys, a string and an object of plain values, is one. Any other JSON object is an ordinary body,
 * even if it has a key `data`.
 */
function legacyEnvelope(bytes: Buffer): Frame | undefined {
  if (
    bytes[0] !== 0x7b ||
    bytes.indexOf('"headers"') < 0 ||
    bytes.indexOf('"data"') < 0 ||
    !isUtf8(bytes)
  ) {
    return undefined;
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString());
  } catch {
    return undefined; // not JSON, so not an envelope: raw bytes
  }
  const { data, headers, ...others } = parsed as Record<string, unknown>;
  if (typeof data !== 'string' || Object.keys(others).length > 0) return undefined;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) return undefined;
  const texts = emptyHeaders();
  for (const [key, value] of Object.entries(headers)) {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      return undefined;
    }
    texts[key] = String(value);
  }
  return { bytes: Buffer.from(data), pairs: 0, count: 0, body: 0, headers: texts };
}

/** Reads what is known to be there; `readUInt16BE` checks that once more for each number. */
function uint16At(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** Without a prototype, so that `__proto__` is an ordinary header name. */
function emptyHeaders(): Record<string, string> {
  return Object.create(null) as Record<string, string>;
}

/** The UTF-8 bytes of a text, as a latin1 string. ASCII text, the usual case, stays as it is. */
function utf8AsLatin1(text: string): string {
  // oxlint-disable-next-line no-control-regex -- the pattern is the ASCII range
  return /^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text).toString('latin1');
}

function uint16(value: number): string {
  return value < 256
    ? (SMALL[value] as string)
    : String.fromCharCode((value >> 8) & 0xff, value & 0xff);
}

function uint32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff);
}
