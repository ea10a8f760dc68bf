import { types } from 'node:util';
import { DecodeError, EncodeError, RedstartError, messageOf } from '../errors.ts';
import { got } from '../internal/checks.ts';
import { unawaited } from '../internal/promises.ts';
import { decodeFrame, encodeFrame, pair, readHeaders, type Frame } from './envelope.ts';
import { headerText, type Headers } from './headers.ts';

/**
 * How one frame holds headers and body. The default is FastStream's binary format. A broker, a
 * subscriber or a publisher can have another one (option `format`), for peers with their own format.
 */
export interface MessageFormat {
  encode(message: { headers: Headers; body: Uint8Array }): Uint8Array;
  /** Throws if the bytes are not in this format. */
  decode(frame: Buffer): { headers: Headers; body: Uint8Array };
}

/** FastStream's BinaryMessageFormatV1. `decode` also reads FastStream's older JSON envelope. */
export const binaryFormat: MessageFormat = {
  encode({ headers, body }) {
    let pairs = '';
    let count = 0;
    for (const key in headers) {
      pairs += pair(key, headerText(key, headers[key]));
      count++;
    }
    return encodeFrame(pairs, count, body);
  },

  decode(bytes) {
    const frame = decodeFrame(bytes);
    return { headers: readHeaders(frame), body: frame.bytes.subarray(frame.body) };
  },
};

/** Decodes a frame in any format. The binary format decodes headers only when they are read. */
export function openFrame(bytes: Buffer, format: MessageFormat): Frame {
  if (format === binaryFormat) return decodeFrame(bytes);
  const decoded = format.decode(bytes);
  if (unawaited(decoded))
    throw new DecodeError(
      "the format's decode returned a promise: it must return the message itself",
    );
  const { headers, body } = decoded;
  return rawFrame(Buffer.from(body.buffer, body.byteOffset, body.byteLength), headers);
}

/** What a format of the user's makes of a message. Throws `EncodeError` where that is no frame. */
export function encodedBy(
  format: MessageFormat,
  message: { headers: Headers; body: Uint8Array },
): Uint8Array {
  let frame: unknown;
  try {
    frame = format.encode(message);
  } catch (cause) {
    if (cause instanceof RedstartError) throw cause;
    throw new EncodeError(`the format cannot encode the message: ${messageOf(cause)}`, { cause });
  }
  if (types.isUint8Array(frame)) return frame;
  unawaited(frame);
  throw new EncodeError(`the format's encode must return bytes, got ${got(frame)}`);
}

/** A frame without a header block: all of `bytes` is the body. */
export function rawFrame(bytes: Buffer, headers?: Headers): Frame {
  return { bytes, pairs: 0, count: 0, body: 0, headers };
}
