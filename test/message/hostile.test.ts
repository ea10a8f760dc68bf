// Bytes come from a network: whatever they are, reading them ends in a message or in a DecodeError.
import * as fc from 'fast-check';
import { DecodeError, defaultCodec } from 'redstart';
import { describe, expect, it } from 'vitest';
import { binaryFormat, openFrame } from '../../src/message/format.ts';
import * as messages from '../../src/message/message.ts';
import { ReceivedMessage } from '../../src/message/message.ts';
import { isLong } from '../support/long.ts';
import type { HeaderKey } from '../../src/message/envelope.ts';

const RUNS = { numRuns: isLong ? 10_000 : 1_000 };

const SYSTEM_KEYS = Object.entries(messages)
  .filter(([name]) => name.endsWith('_KEY'))
  .map(([, key]) => key as HeaderKey);

/** The same bytes as a slice in the middle of a bigger pool, which is filled with `poison`. */
function inPool(bytes: Uint8Array, poison: number): Buffer {
  const pool = Buffer.alloc(bytes.length + 128, poison);
  pool.set(bytes, 64);
  return pool.subarray(64, 64 + bytes.length);
}

/** All that can be read from `bytes`, by every way of reading it; or the text of the DecodeError. */
function readAll(bytes: Buffer): unknown {
  return orDecodeError(() => {
    const message = new ReceivedMessage(bytes, openFrame(bytes, binaryFormat), { channel: 'c' });
    // One by one first, then all: two readers of the same block, which must agree.
    const single = SYSTEM_KEYS.map((key) => message.header(key));
    const entries = Object.entries(message.headers);
    const all = SYSTEM_KEYS.map((key) => new Map(entries).get(key.name));
    // One that is too long is not read, and the message says so.
    const isRead = message.oversized === undefined;
    expect(single).toEqual(isRead ? all : all.map((value, i) => single[i] && value));
    expect(message.correlationId).toBeTypeOf('string');
    const found = [entries, message.contentType, message.replyTo, message.deadline];
    return [...found, message.payload.toString('hex'), body(message)];
  });
}

function body(message: ReceivedMessage): unknown {
  return orDecodeError(() => defaultCodec.decode(message.payload, message.contentType));
}

/** What `read` returns, or the text of the DecodeError that it throws. Any other error is one. */
function orDecodeError(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
}

/** Reads twice, between different neighbours: a byte read from outside would make a difference. */
function readSafely(bytes: Uint8Array): unknown {
  const among = [0x00, 0xff, 0x41].map((poison) => readAll(inPool(bytes, poison)));
  expect(among[1]).toEqual(among[0]);
  expect(among[2]).toEqual(among[0]);
  return among[0];
}

const MAGIC = Buffer.from('\x89BIN\r\n\x1a\n', 'latin1');

const name = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom(...SYSTEM_KEYS.map((key) => key.name), '__proto__', 'constructor'),
);

const validFrame = fc
  .record({
    headers: fc.array(fc.tuple(name, fc.string({ unit: 'binary', maxLength: 20 })), {
      maxLength: 5,
    }),
    body: fc.uint8Array({ maxLength: 20 }),
  })
  .map((message) => {
    const headers = Object.create(null) as Record<string, string>;
    for (const [key, value] of message.headers) headers[key] = value;
    return Buffer.from(binaryFormat.encode({ headers, body: message.body }));
  });

describe('no bytes whatsoever do more than raise a DecodeError', { timeout: 120_000 }, () => {
  it('knows the names that it looks for', () => {
    expect(SYSTEM_KEYS.length).toBeGreaterThanOrEqual(10);
  });

  it('random bytes', () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readSafely(bytes)),
      RUNS,
    );
  });

  it('random bytes behind the magic', () => {
    expect.hasAssertions();
    const bytes = fc.uint8Array({ maxLength: 120 });
    fc.assert(
      fc.property(bytes, (rest) => void readSafely(Buffer.concat([MAGIC, rest]))),
      RUNS,
    );
  });

  it('a header block of random bytes, with a random count and offsets that fit', () => {
    expect.hasAssertions();
    const block = fc.uint8Array({ maxLength: 60 });
    const parts = fc.tuple(block, fc.nat(0xffff), fc.nat(4), fc.uint8Array({ maxLength: 8 }));
    fc.assert(
      fc.property(parts, fc.boolean(), ([pairs, large, small, rest], isLarge) => {
        const head = Buffer.alloc(12);
        head.writeUInt16BE(1, 0);
        head.writeUInt32BE(18, 2);
        head.writeUInt32BE(20 + pairs.length, 6);
        head.writeUInt16BE(isLarge ? large : small, 10);
        const result = readSafely(Buffer.concat([MAGIC, head, pairs, rest])) as unknown[];
        // Whatever the headers are worth, the body stands where the frame says.
        expect(result[4]).toBe(Buffer.from(rest).toString('hex'));
      }),
      RUNS,
    );
  });

  it('a valid frame cut at every length', () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(validFrame, (frame) => {
        for (let length = 0; length <= frame.length; length++) {
          readSafely(frame.subarray(0, length));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('a valid frame with random bytes changed', () => {
    expect.hasAssertions();
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(validFrame, changes, (frame, all) => {
        for (const [at, value] of all) frame[at % frame.length] = value;
        readSafely(frame);
      }),
      RUNS,
    );
  });

  it('a valid frame with random offsets and counts', () => {
    expect.hasAssertions();
    const offset = fc.oneof(fc.nat(80), fc.integer({ min: 0, max: 0xffffffff }));
    fc.assert(
      fc.property(validFrame, offset, offset, fc.nat(0xffff), (frame, start, data, count) => {
        frame.writeUInt16BE(count, 18);
        frame.writeUInt32BE(data, 14);
        if (count % 2 === 0) frame.writeUInt32BE(start, 10);
        readSafely(frame);
      }),
      RUNS,
    );
  });

  it('a valid frame with pieces taken out, doubled or put elsewhere', () => {
    expect.hasAssertions();
    const places = fc.tuple(fc.nat(), fc.nat(), fc.nat());
    fc.assert(
      fc.property(validFrame, places, (frame, [a, b, c]) => {
        const piece = frame.subarray(a % frame.length, (a % frame.length) + (b % 20));
        const at = c % frame.length;
        readSafely(Buffer.concat([frame.subarray(0, at), piece, frame.subarray(at)]));
        readSafely(Buffer.concat([frame.subarray(0, at), frame.subarray(at + piece.length)]));
      }),
      RUNS,
    );
  });

  it('JSON in the shape of the older envelope, and nearly so', () => {
    expect.hasAssertions();
    const envelope = fc.record(
      {
        data: fc.oneof(fc.string(), fc.jsonValue()),
        headers: fc.oneof(fc.dictionary(name, fc.jsonValue()), fc.jsonValue()),
        other: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(envelope, fc.nat(), (value, cut) => {
        const bytes = Buffer.from(JSON.stringify(value));
        readSafely(bytes);
        readSafely(bytes.subarray(0, cut % (bytes.length + 1)));
      }),
      RUNS,
    );
  });

  it('a body under any content type', () => {
    expect.hasAssertions();
    const types = ['application/json', 'text/plain', 'application/json; charset=utf-8', 'x', ''];
    const type = fc.oneof(fc.constantFrom(...types, undefined), fc.string());
    fc.assert(
      fc.property(fc.uint8Array(), type, (bytes, contentType) => {
        const decode = (): unknown => defaultCodec.decode(Buffer.from(bytes), contentType);
        expect(orDecodeError(decode)).toBeDefined();
      }),
      RUNS,
    );
  });

  it('JSON nested a hundred thousand deep', () => {
    expect.hasAssertions();
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    readAll(Buffer.from(deep));
    readAll(Buffer.from(`{"data":"x","headers":${deep}}`));
    readAll(
      Buffer.from(
        binaryFormat.encode({
          headers: { 'content-type': 'application/json' },
          body: Buffer.from(deep),
        }),
      ),
    );
  });
});
