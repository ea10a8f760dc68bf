import { decodeFrame, encodeFrame, pair, readHeaders, type Frame } from './envelope.ts';
import type { Headers } from './headers.ts';

/**
 * How headers and body share one frame. The default is FastStream's binary format; another can be
 * given to a broker, a subscriber or a publisher, for peers that speak neither.
 */
export interface MessageFormat {
  encode(message: { headers: Headers; body: Uint8Array }): Uint8Array;
  /** Throws for bytes that it does not understand. */
  decode(frame: Buffer): { headers: Headers; body: Uint8Array };
}

/** FastStream's BinaryMessageFormatV1, and FastStream's older JSON envelope when reading. */
export const binaryFormat: MessageFormat = {
  encode({ headers, body }) {
    let pairs = '';
    let count = 0;
    for (const key in headers) {
      pairs += pair(key, headers[key] as string);
      count++;
    }
    return encodeFrame(pairs, count, body);
  },

  decode(bytes) {
    const frame = decodeFrame(bytes);
    return { headers: readHeaders(frame), body: frame.bytes.subarray(frame.body) };
  },
};

/** Reads a frame in any format; the binary one keeps its headers unread until they are asked for. */
export function openFrame(bytes: Buffer, format: MessageFormat): Frame {
  if (format === binaryFormat) return decodeFrame(bytes);
  const { headers, body } = format.decode(bytes);
  return rawFrame(Buffer.from(body.buffer, body.byteOffset, body.byteLength), headers);
}

/** A frame that is nothing but a body. */
export function rawFrame(bytes: Buffer, headers?: Headers): Frame {
  return { bytes, pairs: 0, count: 0, body: 0, headers };
}
