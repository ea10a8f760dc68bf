// What FastStream itself put on the wire, recorded in vectors.json.
import { DecodeError } from 'redstart';
import { describe, expect, it } from 'vitest';
import { binaryFormat } from '../../src/message/format.ts';
import vectors from './vectors.json' with { type: 'json' };

interface FrameVector {
  readonly name: string;
  readonly bodyUtf8?: string;
  readonly bodyHex?: string;
  readonly headers: Record<string, string>;
  readonly frameHex: string;
}

const frames = vectors.frames as unknown as FrameVector[];

function bodyOf(vector: FrameVector): Buffer {
  if (vector.bodyHex !== undefined) return Buffer.from(vector.bodyHex, 'hex');
  return Buffer.from(vector.bodyUtf8 as string);
}

/** Headers as decoded have no prototype; an ordinary object compares and prints better. */
function decode(bytes: Buffer): { headers: Record<string, string>; body: Buffer } {
  const { headers, body } = binaryFormat.decode(bytes);
  return { headers: { ...headers }, body: Buffer.from(body) };
}

describe('a frame of FastStream', () => {
  it('is there to be tested', () => {
    expect(frames.length).toBeGreaterThanOrEqual(8);
    expect(vectors.damagedFrames).toHaveLength(2);
    expect(vectors.legacyJson).toHaveLength(6);
  });

  it.each(frames)('is encoded byte for byte: $name', (vector) => {
    const frame = binaryFormat.encode({ headers: vector.headers, body: bodyOf(vector) });
    expect(Buffer.from(frame).toString('hex')).toBe(vector.frameHex);
  });

  it.each(frames)('is decoded, headers in order: $name', (vector) => {
    const { headers, body } = decode(Buffer.from(vector.frameHex, 'hex'));
    expect(Object.entries(headers)).toEqual(Object.entries(vector.headers));
    expect(body).toEqual(bodyOf(vector));
  });
});

describe('a frame whose header lengths FastStream counted in characters', () => {
  const recovered: Record<string, string> = {
    'header length counted in characters, in the middle': 'é',
    'header length counted in characters, last header': 'éé',
  };

  it.each(vectors.damagedFrames)('keeps its body and its headers: $name', (vector) => {
    const { headers, body } = decode(Buffer.from(vector.frameHex, 'hex'));
    expect(body.toString()).toBe(vector.bodyUtf8);
    expect(headers).toEqual({
      correlation_id: 'c1',
      'content-type': 'text/plain',
      k: recovered[vector.name],
    });
  });

  it('keeps its body and the headers before the damage where nothing can be recovered', () => {
    const frame = Buffer.from(
      binaryFormat.encode({ headers: { a: '1', b: '2' }, body: Buffer.from('hi') }),
    );
    // The length of the last value, far beyond the header block.
    frame.writeUInt16BE(0xffff, frame.length - 5);
    expect(decode(frame)).toEqual({ headers: { a: '1' }, body: Buffer.from('hi') });
  });
});

describe('bytes that begin as a frame and are none', () => {
  const whole = Buffer.from(frames[0]?.frameHex as string, 'hex');

  function altered(change: (frame: Buffer) => void): Buffer {
    const frame = Buffer.from(whole);
    change(frame);
    return frame;
  }

  it.each([
    ['a version that nobody knows', altered((frame) => frame.writeUInt16BE(2, 8))],
    ['headers that begin inside the preamble', altered((frame) => frame.writeUInt32BE(17, 10))],
    ['headers that begin after the body', altered((frame) => frame.writeUInt32BE(60, 10))],
    ['a body that begins past the end', altered((frame) => frame.writeUInt32BE(41, 14))],
    ['a body that begins inside the preamble', altered((frame) => frame.writeUInt32BE(4, 14))],
    ['nothing but the magic', whole.subarray(0, 8)],
    ['a cut preamble', whole.subarray(0, 19)],
    ['a cut header block', whole.subarray(0, 30)],
  ])('are refused with a DecodeError: %s', (_what, bytes) => {
    expect(() => binaryFormat.decode(bytes)).toThrow(DecodeError);
  });
});

describe("FastStream's older JSON envelope", () => {
  // FastStream also takes these three apart, or drops them. Here they are payloads like any other:
  // a foreign object that happens to have a `data` key must arrive whole.
  const otherwiseHere = new Set([
    '{"data":"hello"}',
    '{"data":"hello","other":1}',
    '{"data":"x","headers":null}',
  ]);

  it.each(vectors.legacyJson)(
    'is understood only where it can be nothing else: $input',
    (vector) => {
      const { headers, body } = decode(Buffer.from(vector.input));
      const isRaw = typeof vector.fastStream === 'string' || otherwiseHere.has(vector.input);
      const expected = isRaw ? { headers: {}, body: vector.input } : vector.fastStream;
      expect({ headers, body: body.toString() }).toEqual(expected);
    },
  );

  it('is understood with its members in any order and with white space', () => {
    const { headers, body } = decode(Buffer.from('{ "headers": {"x": "é"},\n "data": "ü" }'));
    expect({ headers, body: body.toString() }).toEqual({ headers: { x: 'é' }, body: 'ü' });
  });

  it.each([
    ['data that is no text', '{"data":{"a":1},"headers":{}}'],
    ['headers that are an array', '{"data":"x","headers":["a"]}'],
    ['headers that are text', '{"data":"x","headers":"a"}'],
    ['one key too many', '{"data":"x","headers":{},"id":1}'],
    ['a key called __proto__ beside', '{"data":"x","headers":{},"__proto__":{}}'],
    ['no object', '[{"data":"x","headers":{}}]'],
    ['JSON that breaks off', '{"data":"x","headers":{}'],
    ['two of them', '{"data":"x","headers":{}}{"data":"x","headers":{}}'],
  ])('is not seen in %s', (_what, input) => {
    const { headers, body } = decode(Buffer.from(input));
    expect({ headers, body: body.toString() }).toEqual({ headers: {}, body: input });
  });

  it('is not seen in bytes that are no UTF-8: they arrive as they are', () => {
    const bytes = Buffer.from('{"data":"\xff","headers":{}}', 'latin1');
    expect(decode(bytes)).toEqual({ headers: {}, body: bytes });
  });

  it("cannot set an object's prototype through a header", () => {
    const { headers } = binaryFormat.decode(
      Buffer.from('{"data":"x","headers":{"__proto__":"p","a":"b"}}'),
    );
    expect(Object.entries(headers)).toEqual([
      ['__proto__', 'p'],
      ['a', 'b'],
    ]);
  });
});

describe('bytes that are no frame', () => {
  it.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['JSON', '{"id":1}'],
    ['the magic without its first byte', 'BIN\r\n\x1a\nabc'],
    ['a part of the magic', '\x89BIN'],
  ])('are the body, as they are: %s', (_what, text) => {
    const bytes = Buffer.from(text, 'latin1');
    expect(decode(bytes)).toEqual({ headers: {}, body: bytes });
  });
});
