import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AnswerLog } from '../../src/rpc/answer-log.ts';
import type { Inbox } from '../../src/rpc/inbox.ts';
import type { Recovery } from '../../src/rpc/recovery.ts';
import type { Transport } from '../../src/transport/transport.ts';

const MEBIBYTE = 1024 * 1024;

function newLog(): AnswerLog {
  const recovery = { listen: () => undefined } as unknown as Recovery;
  return new AnswerLog({} as Transport, {} as Inbox, recovery, () => undefined);
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
        // From the newest back: as long as they fit into half of the log, they are all there.
        let bytes = 0;
        for (let old = n; old >= 0; old--) {
          const expected = frameOf(old, all[old] as number);
          bytes += expected.length;
          const found = log.find(`inbox ${old % 3}`, String(old));
          if (bytes <= 4 * MEBIBYTE) expect(found).toBeDefined();
          if (found !== undefined && !expected.equals(found)) throw new Error(`${old} is wrong`);
        }
      }
    }),
    { numRuns: 30 },
  );
});

it('finds the last 16 384 answers, however small, and forgets the others', () => {
  const log = newLog();
  for (let n = 0; n < 40_000; n++) log.remember('inbox', String(n), frameOf(n, 16));
  expect(log.find('inbox', '39999')).toEqual(frameOf(39_999, 16));
  expect(log.find('inbox', String(40_000 - 16_384))).toEqual(frameOf(40_000 - 16_384, 16));
  expect(log.find('inbox', String(40_000 - 16_385))).toBeUndefined();
  expect(log.find('another inbox', '39999')).toBeUndefined();
});
