/**
 * FastStream's BinaryMessageFormatV1, the frame that both languages put on the wire:
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

/** The lengths that nearly all keys and values have, as two bytes. */
const SMALL = Array.from({ length: 256 }, (_, value) => String.fromCharCode(0, value));

const PREAMBLE = MAGIC + uint16(VERSION) + uint32(HEADERS_START);

/** A decoded frame: where its parts are. Headers are read when somebody asks. */
export interface Frame {
  readonly bytes: Buffer;
  /** Offset of the first header pair; 0 where there is no header block. */
  readonly pairs: number;
  /** Pairs the frame says it has. */
  readonly count: number;
  /** Offset of the body, which runs to the end. */
  readonly body: number;
  /** Headers that were read already: of the legacy JSON envelope, or recovered from a damaged block. */
  readonly headers: Headers | undefined;
}

/** One header as it stands in a frame. Bytes are carried in a latin1 string, so that a whole header block is written in one go. */
export function pair(key: string, value: string): string {
  const v = binary(value);
  if (v.length > MAX_LENGTH) {
    throw new EncodeError(
      `header '${key}' is ${v.length} bytes long, a frame holds ${MAX_LENGTH} at most: put it in the body`,
    );
  }
  return (KNOWN_NAMES.get(key) ?? nameOf(key)) + uint16(v.length) + v;
}

/** Names as they stand in a frame, for those that come in every message. */
const KNOWN_NAMES = new Map<string, string>();

/** Has the name of a header encoded once. */
export function knowName(name: string): string {
  KNOWN_NAMES.set(name, nameOf(name));
  return name;
}

function nameOf(key: string): string {
  const k = binary(key);
  if (k.length > MAX_LENGTH)
    throw new EncodeError(
      `a header name of ${k.length} bytes is too long, a frame holds ${MAX_LENGTH} at most`,
    );
  return uint16(k.length) + k;
}

/** A frame from header pairs (as made by {@link pair}) and a body. */
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

/**
 * Finds the parts of a frame. Bytes without our magic are somebody else's: they are the body, as
 * they are. Throws {@link DecodeError} for bytes that begin as a frame and are none.
 */
export function decodeFrame(bytes: Buffer): Frame {
  if (
    bytes.length < 8 ||
    bytes.readUInt32BE(0) !== MAGIC_HIGH ||
    bytes.readUInt32BE(4) !== MAGIC_LOW
  ) {
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
  const headers = addsUp(block) ? undefined : recoverHeaders(block);
  return { bytes, pairs, count, body, headers };
}

/** All headers of a frame, in order. */
export function readHeaders(frame: Frame): Headers {
  if (frame.headers !== undefined) return frame.headers;
  return readPairs(frame, skipBytes).headers;
}

/** A header name that is looked for in every message, and where its value is put. */
export interface HeaderKey {
  readonly name: string;
  readonly bytes: Buffer;
  readonly index: number;
}

/** Keys to look for, by the length of their names: most headers are told apart by that alone. */
export type HeaderKeys = readonly (readonly HeaderKey[] | undefined)[];

/** The values of the headers that are looked for, in one pass and without reading any other. */
export function findHeaders(frame: Frame, keys: HeaderKeys): (string | undefined)[] {
  const { bytes } = frame;
  const values: (string | undefined)[] = [];
  let at = frame.pairs;
  for (let i = 0; i < frame.count; i++) {
    const keyLength = bytes.readUInt16BE(at);
    const valueAt = at + 4 + keyLength;
    const end = valueAt + bytes.readUInt16BE(valueAt - 2);
    for (const key of keys[keyLength] ?? NONE) {
      if (equals(bytes, at + 2, key.bytes))
        values[key.index] = bytes.toString('utf8', valueAt, end);
    }
    at = end;
  }
  return values;
}

const NONE: readonly HeaderKey[] = [];

function equals(bytes: Buffer, at: number, key: Buffer): boolean {
  for (let i = key.length - 1; i >= 0; i--) if (bytes[at + i] !== key[i]) return false;
  return true;
}

type HeaderBlock = Pick<Frame, 'bytes' | 'pairs' | 'count' | 'body'>;

/** Whether the header pairs end exactly where the body begins. */
function addsUp({ bytes, pairs, count, body }: HeaderBlock): boolean {
  let at = pairs;
  for (let i = 0; i < 2 * count; i++) {
    if (at + 2 > body) return false;
    at += 2 + bytes.readUInt16BE(at);
  }
  return at === body;
}

/** Headers of a block that does not add up in bytes: as FastStream miscounts them, or those before the damage. */
function recoverHeaders(block: HeaderBlock): Headers {
  const byCharacters = readPairs(block, skipCharacters);
  return byCharacters.whole ? byCharacters.headers : readPairs(block, skipBytes).headers;
}

/** Where text of `length` ends, or -1 if that is past `end`. */
type Skip = (bytes: Buffer, at: number, length: number, end: number) => number;

function readPairs(block: HeaderBlock, skip: Skip): { headers: Headers; whole: boolean } {
  const { bytes, body } = block;
  const headers = empty();
  let at = block.pairs;
  for (let i = 0; i < block.count; i++) {
    if (at + 2 > body) return { headers, whole: false };
    const keyEnd = skip(bytes, at + 2, bytes.readUInt16BE(at), body);
    if (keyEnd < 0 || keyEnd + 2 > body) return { headers, whole: false };
    const valueEnd = skip(bytes, keyEnd + 2, bytes.readUInt16BE(keyEnd), body);
    if (valueEnd < 0) return { headers, whole: false };
    headers[bytes.toString('utf8', at + 2, keyEnd)] = bytes.toString('utf8', keyEnd + 2, valueEnd);
    at = valueEnd;
  }
  return { headers, whole: at === body };
}

function skipBytes(_bytes: Buffer, at: number, length: number, end: number): number {
  return at + length > end ? -1 : at + length;
}

/** {@link Skip} for lengths that count code points: skips each lead byte and what continues it. */
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
 * FastStream's older envelope `{"data": "…", "headers": {…}}`. It is taken apart only where it can
 * be nothing else: exactly those two keys, text and an object of plain values. A foreign JSON
 * object that happens to have a `data` key is not ours.
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
  const texts = empty();
  for (const [key, value] of Object.entries(headers)) {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      return undefined;
    }
    texts[key] = String(value);
  }
  return { bytes: Buffer.from(data), pairs: 0, count: 0, body: 0, headers: texts };
}

/** Without a prototype, so that a header called `__proto__` is just a header. */
function empty(): Record<string, string> {
  return Object.create(null) as Record<string, string>;
}

/** UTF-8 bytes as a latin1 string. ASCII, nearly always, is its own. */
function binary(text: string): string {
  // oxlint-disable-next-line no-control-regex -- the ASCII range is what is meant
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
