/**
 * Several frames as one message to an inbox, which only redstart sends and reads:
 *
 *   magic(8) · u16 count · (u32 length, frame)*
 *
 * All integers are big-endian, and all lengths count bytes.
 */
import { DecodeError } from '../errors.ts';

const MAGIC_HIGH = 0x89525342; // \x89RSB
const MAGIC_LOW = 0x0d0a1a0a;
const FRAMES_START = 10;
const LENGTH = 4;

/** Frames in one bundle, at most. */
export const MAX_BUNDLED = 1_024;

/** Puts up to {@link MAX_BUNDLED} frames into one bundle. */
export function encodeBundle(frames: readonly Uint8Array[]): Buffer {
  let size = FRAMES_START;
  for (const frame of frames) size += LENGTH + frame.length;
  const bundle = Buffer.allocUnsafe(size);
  bundle.writeUInt32BE(MAGIC_HIGH, 0);
  bundle.writeUInt32BE(MAGIC_LOW, 4);
  bundle.writeUInt16BE(frames.length, 8);
  let at = FRAMES_START;
  for (const frame of frames) {
    bundle.writeUInt32BE(frame.length, at);
    bundle.set(frame, at + LENGTH);
    at += LENGTH + frame.length;
  }
  return bundle;
}

/** Whether the bytes begin with the magic number of a bundle. */
export function isBundle(bytes: Buffer): boolean {
  return (
    bytes.length >= FRAMES_START &&
    bytes.readUInt32BE(0) === MAGIC_HIGH &&
    bytes.readUInt32BE(4) === MAGIC_LOW
  );
}

/**
 * Hands over each frame of a bundle, in order. Throws {@link DecodeError} at the first one that is not
 * whole; those before it have been handed over.
 */
export function openBundle(bundle: Buffer, take: (frame: Buffer) => void): void {
  const count = bundle.readUInt16BE(8);
  if (count > MAX_BUNDLED)
    throw new DecodeError(`a bundle of ${count} frames is too large, ${MAX_BUNDLED} are read`);
  let at = FRAMES_START;
  for (let i = 0; i < count; i++) {
    const start = at + LENGTH;
    if (start > bundle.length) throw cutOff(bundle, i, count);
    const end = start + bundle.readUInt32BE(at);
    if (end > bundle.length) throw cutOff(bundle, i, count);
    take(bundle.subarray(start, end));
    at = end;
  }
}

function cutOff({ length }: Buffer, index: number, count: number): DecodeError {
  return new DecodeError(`a bundle of ${length} bytes ends before frame ${index + 1} of ${count}`);
}
