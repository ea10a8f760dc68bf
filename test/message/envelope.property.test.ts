// Random bytes seldom put two offsets in one place, which is where a reader goes wrong: so every
// pair of offsets is tried here. Random frames are in hostile.test.ts.
import { DecodeError } from 'redstart';
import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame, pair, readHeaders } from '../../src/message/envelope.ts';

const SHORTEST = 20;

/** A copy at the very end of its memory, and one with other bytes around it. */
function placings(frame: Buffer): Buffer[] {
  const alone = Buffer.from(Uint8Array.from(frame).buffer);
  const pool = Buffer.alloc(frame.length + 64, 0xff);
  frame.copy(pool, 32);
  return [alone, pool.subarray(32, 32 + frame.length)];
}

/** What a frame gives, or `refused`; any error but a DecodeError fails the test. */
function read(bytes: Buffer): { body: string; headers: [string, string][] } | 'refused' {
  try {
    const frame = decodeFrame(bytes);
    const headers = Object.entries(readHeaders(frame));
    return { body: frame.bytes.subarray(frame.body).toString('hex'), headers };
  } catch (error) {
    if (error instanceof DecodeError) return 'refused';
    throw error;
  }
}

function withOffsets(frame: Buffer, start: number, body: number): Buffer {
  const copy = Buffer.from(frame);
  copy.writeUInt32BE(start, 10);
  copy.writeUInt32BE(body, 14);
  return copy;
}

describe('the offsets of a frame', () => {
  it.each([
    ['nothing in it', encodeFrame('', 0, '')],
    ['a body alone', encodeFrame('', 0, 'hi')],
    ['headers alone', encodeFrame(pair('a', '1'), 1, '')],
    ['headers and a body', encodeFrame(pair('a', '1') + pair('', ''), 2, 'hello')],
  ])('are taken or refused as a whole, wherever they point: %s', (_what, frame) => {
    let taken = 0;
    for (let start = 0; start <= frame.length + 3; start++) {
      for (let body = 0; body <= frame.length + 3; body++) {
        const altered = withOffsets(frame, start, body);
        // The header count, two bytes, lies after the offsets, before the body and in the frame.
        const fits = start >= 18 && start + 2 <= body && body <= frame.length;
        const [alone, pooled] = placings(altered).map(read);
        expect(pooled).toEqual(alone);
        expect([start, body, alone === 'refused']).toEqual([start, body, !fits]);
        if (alone === 'refused') continue;
        taken++;
        expect(alone?.body).toBe(frame.subarray(body).toString('hex'));
      }
    }
    expect(taken).toBeGreaterThan(0);
  });

  it.each([0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff])('do not wrap around: %i', (far) => {
    const frame = encodeFrame(pair('a', '1'), 1, 'hi');
    expect(read(withOffsets(frame, far, frame.length))).toBe('refused');
    expect(read(withOffsets(frame, 18, far))).toBe('refused');
    expect(read(withOffsets(frame, far, far))).toBe('refused');
  });

  it('may leave room before the headers, which is passed over', () => {
    const plain = encodeFrame(pair('a', '1'), 1, 'hi');
    const room = Buffer.concat([plain.subarray(0, 18), Buffer.from('xyz'), plain.subarray(18)]);
    const moved = withOffsets(room, 21, plain.readUInt32BE(14) + 3);
    expect(read(moved)).toEqual({ body: Buffer.from('hi').toString('hex'), headers: [['a', '1']] });
  });
});

describe('the lengths in a header block', () => {
  it('never reach past the block, whatever one of them says', () => {
    const frame = encodeFrame(pair('k', 'v') + pair('x', 'y'), 2, 'body');
    const body = frame.readUInt32BE(14);
    const whole = read(frame);
    // Where the four lengths stand: each is followed by one letter.
    for (let at = SHORTEST; at < body; at += 3) {
      // To the end of the block, one past it, and far away; never the right length, which is 1.
      const ends = [body - at - 2, body - at - 1].filter((length) => length !== 1);
      for (const length of [0, 2, 3, 4, ...ends, 255, 256, 0xffff]) {
        const altered = Buffer.from(frame);
        altered.writeUInt16BE(length, at);
        const [alone, pooled] = placings(altered).map(read);
        expect(pooled).toEqual(alone);
        expect(alone).not.toEqual(whole);
        expect(alone).toMatchObject({ body: Buffer.from('body').toString('hex') });
        const block = altered.subarray(SHORTEST, body).toString('latin1');
        const texts = alone === 'refused' ? [] : (alone?.headers.flat() ?? []);
        for (const text of texts) expect(block).toContain(Buffer.from(text).toString('latin1'));
      }
    }
  });
});
