import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { AnswerLog } from '../../src/rpc/responder/answer-log.ts';
import type { Inbox } from '../../src/rpc/inbox.ts';
import type { GapChannel } from '../../src/rpc/gap-channel.ts';

const MEBIBYTE = 1024 * 1024;

function newLog(): AnswerLog {
  const gapChannel = { listen: () => undefined } as unknown as GapChannel;
  return new AnswerLog({} as Inbox, gapChannel, () => undefined);
}

/** A frame that says whose it is, at its beginning and at its end. */
function frameOf(n: number, length: number): Buffer {
  const frame = Buffer.alloc(length, n & 0xff);
  frame.writeUInt32BE(n, 0);
  frame.writeUInt32BE(n, length - 4);
  return frame;
}

it('finds the latest answers, up to 8 MiB of them, and never a wrong one', () => {
  const lengths = fc.array(
    fc.oneof(
      fc.integer({ min: 8, max: 600 }),
      fc.integer({ min: 8, max: 3 * MEBIBYTE }),
      fc.constantFrom(4 * MEBIBYTE, 8 * MEBIBYTE, 8 * MEBIBYTE + 1),
    ),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(
    fc.property(lengths, (all) => {
      const log = newLog();
      for (const [n, length] of all.entries()) {
        log.remember(`inbox ${n % 3}`, String(n), frameOf(n, length));
        expect(wrongAmong(log, all.slice(0, n + 1))).toEqual([]);
      }
    }),
    { numRuns: 30 },
  );
});

/** Answers that are found and are not what was remembered, or not found though they surely fit. */
function wrongAmong(log: AnswerLog, lengths: readonly number[]): number[] {
  const wrong: number[] = [];
  let bytes = 0;
  for (let n = lengths.length - 1; n >= 0; n--) {
    const expected = frameOf(n, lengths[n] as number);
    bytes += expected.length;
    const found = log.find(`inbox ${n % 3}`, String(n));
    if (found === undefined ? bytes <= 4 * MEBIBYTE : !expected.equals(found)) wrong.push(n);
  }
  return wrong;
}

it('finds the last 16 384 answers, however small, and forgets the others', () => {
  const log = newLog();
  for (let n = 0; n < 40_000; n++) log.remember('inbox', String(n), frameOf(n, 16));
  expect(log.find('inbox', '39999')).toEqual(frameOf(39_999, 16));
  expect(log.find('inbox', String(40_000 - 16_384))).toEqual(frameOf(40_000 - 16_384, 16));
  expect(log.find('inbox', String(40_000 - 16_385))).toBeUndefined();
  expect(log.find('another inbox', '39999')).toBeUndefined();
});
