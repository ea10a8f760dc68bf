import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { MAX_BUNDLED, encodeBundle, isBundle, openBundle } from '../../src/message/bundle.ts';

function opened(bundle: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  openBundle(bundle, (frame) => frames.push(frame));
  return frames;
}

const anyFrames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 40 });

it('a bundle gives the frames that it was made of, in order', () => {
  fc.assert(
    fc.property(anyFrames, (frames) => {
      const bundle = encodeBundle(frames);
      expect(isBundle(bundle)).toBe(true);
      expect(opened(bundle)).toEqual(frames.map((frame) => Buffer.from(frame)));
    }),
  );
});

it('a bundle that is cut off anywhere gives the frames before that, and then a DecodeError', () => {
  const frames = [Buffer.from('one'), Buffer.alloc(0), Buffer.from('three')];
  const bundle = encodeBundle(frames);
  for (let length = 10; length < bundle.length; length++) {
    const taken: Buffer[] = [];
    expect(() => openBundle(bundle.subarray(0, length), (frame) => taken.push(frame))).toThrow(
      /ends before frame \d of 3/,
    );
    expect(taken).toEqual(frames.slice(0, taken.length));
  }
});

it('a length beyond the end is a DecodeError and no read beyond it', () => {
  const bundle = encodeBundle([Buffer.from('one')]);
  bundle.writeUInt32BE(0xffffffff, 10);
  expect(() => opened(bundle)).toThrow(/ends before frame 1 of 1/);
});

it(`a bundle of more than ${MAX_BUNDLED} frames is not opened`, () => {
  const frames = Array.from({ length: MAX_BUNDLED + 1 }, () => Buffer.alloc(0));
  expect(() => opened(encodeBundle(frames))).toThrow(/too large/);
});

it('bytes that are cut off inside the head, and frames, are no bundle', () => {
  const bundle = encodeBundle([]);
  expect(isBundle(bundle.subarray(0, 9))).toBe(false);
  expect(isBundle(Buffer.from('\x89BIN\r\n\x1a\n and more', 'latin1'))).toBe(false);
});
