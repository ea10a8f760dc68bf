import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binaryFormat, openFrame } from '../../src/message/format.ts';
import { ReceivedMessage } from '../../src/message/message.ts';

type Entries = [string, string][];

const RUNS = { numRuns: 1_000 };

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 300 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '', 'é', '\0', '😀', '1'),
);

const headerEntries = fc.uniqueArray(fc.tuple(text, text), {
  selector: ([key]) => key,
  maxLength: 8,
});

function headersOf(entries: Entries): Record<string, string> {
  const headers = Object.create(null) as Record<string, string>;
  for (const [key, value] of entries) headers[key] = value;
  return headers;
}

function sorted(entries: Entries): Entries {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

describe('what is encoded is decoded', () => {
  it('for any headers and any body', () => {
    fc.assert(
      fc.property(headerEntries, fc.uint8Array({ maxLength: 500 }), (entries, body) => {
        const frame = Buffer.from(binaryFormat.encode({ headers: headersOf(entries), body }));
        const decoded = binaryFormat.decode(frame);
        expect(sorted(Object.entries(decoded.headers))).toEqual(sorted(entries));
        expect(Buffer.compare(decoded.body, body)).toBe(0);

        const message = new ReceivedMessage(frame, openFrame(frame, binaryFormat), { list: 'l' });
        expect(sorted(Object.entries(message.headers))).toEqual(sorted(entries));
        expect(message.raw).toBe(frame);
      }),
      RUNS,
    );
  });

  it('for a value of the greatest length, in bytes', () => {
    const headers = { [`${'k'.repeat(65_533)}é`]: 'é'.repeat(32_767) };
    const decoded = binaryFormat.decode(
      Buffer.from(binaryFormat.encode({ headers, body: Buffer.from('b') })),
    );
    expect({ ...decoded.headers }).toEqual(headers);
  });

  it('for a body that is a slice of a bigger buffer', () => {
    const body = Buffer.from('..body..').subarray(2, 6);
    const decoded = binaryFormat.decode(Buffer.from(binaryFormat.encode({ headers: {}, body })));
    expect(Buffer.from(decoded.body).toString()).toBe('body');
  });

  it('without a header reaching the prototype of anything', () => {
    const headers = JSON.parse('{"__proto__":"p"}') as Record<string, string>;
    const frame = Buffer.from(binaryFormat.encode({ headers, body: Buffer.alloc(0) }));
    const decoded = binaryFormat.decode(frame).headers;
    expect(Object.entries(decoded)).toEqual([['__proto__', 'p']]);
    expect('toString' in decoded).toBe(false);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });
});

function counted(value: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Array.from(value).length);
  return Buffer.concat([length, Buffer.from(value)]);
}

/** A frame as FastStream writes it: lengths count code points, the bytes are UTF-8. */
function encodeLikeFastStream(entries: Entries, body: Uint8Array): Buffer {
  const pairs = Buffer.concat(entries.flat().map(counted));
  const head = Buffer.from('\x89BIN\r\n\x1a\n\0\x01\0\0\0\x12\0\0\0\0\0\0', 'latin1');
  head.writeUInt32BE(20 + pairs.length, 14);
  head.writeUInt16BE(entries.length, 18);
  return Buffer.concat([head, pairs, body]);
}

describe('what FastStream encodes with lengths in characters', () => {
  // Without control characters a block of this size never adds up in bytes by chance: a length read
  // at the wrong place has a high byte of 0x20 or more, so points 8 KiB on.
  const printable = fc.array(fc.constantFrom(...Array.from('az09 -_/=éßю水😀\u{10ffff}ﬃ')), {
    maxLength: 20,
  });
  const word = printable.map((letters) => letters.join(''));
  const entries = fc.uniqueArray(fc.tuple(word, word), { selector: ([key]) => key, maxLength: 6 });

  it('is decoded, headers and body', () => {
    fc.assert(
      fc.property(entries, fc.uint8Array({ maxLength: 50 }), (headers, body) => {
        const decoded = binaryFormat.decode(encodeLikeFastStream(headers, body));
        expect(Buffer.compare(decoded.body, body)).toBe(0);
        expect(sorted(Object.entries(decoded.headers))).toEqual(sorted(headers));
      }),
      RUNS,
    );
  });

  it('keeps its system headers readable one by one', () => {
    const frame = encodeLikeFastStream(
      [
        ['k', 'é'],
        ['correlation_id', 'c-1'],
        ['content-type', 'text/plain'],
        ['reply_to', 'r-1'],
      ],
      Buffer.from('hi'),
    );
    const message = new ReceivedMessage(frame, openFrame(frame, binaryFormat), { channel: 'c' });
    expect(message).toMatchObject({
      correlationId: 'c-1',
      contentType: 'text/plain',
      replyTo: 'r-1',
    });
  });
});

describe('a message without the system headers', () => {
  it('has a correlation id made up once, and neither a content type nor an address to answer', () => {
    const bytes = Buffer.from('hello');
    const message = new ReceivedMessage(bytes, openFrame(bytes, binaryFormat), { channel: 'c' });
    const other = new ReceivedMessage(bytes, openFrame(bytes, binaryFormat), { channel: 'c' });
    expect(message.correlationId).toMatch(/^\S{8,}$/);
    expect(message.correlationId).toBe(message.correlationId);
    expect(message.correlationId).not.toBe(other.correlationId);
    expect(message.contentType).toBeUndefined();
    expect(message.replyTo).toBeUndefined();
  });
});
