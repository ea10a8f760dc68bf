import { expect, it } from 'vitest';
import { BatchSource } from '../../src/consume/batch-source.ts';
import type { Delivery, Source } from '../../src/transport/source.ts';

const delivery: Delivery = { frame: Buffer.alloc(0), name: 'x', id: undefined, count: 1 };

/** A source whose reads are those given, in turn. */
function reading(...reads: (() => Promise<Delivery[]>)[]): Source {
  return {
    canReturn: true,
    needsAck: false,
    held: 0,
    giveBack: async () => {},
    read: () => (reads.shift() ?? (() => Promise.reject(new Error('one read too many'))))(),
    stop: async () => {},
    close: async () => {},
    ack: () => undefined,
    nack: () => {},
    abandon: () => {},
  };
}

const slow = async (): Promise<Delivery[]> => {
  const until = performance.now() + 30;
  while (performance.now() < until); // the event loop is busy, and the time runs out meanwhile
  return [delivery];
};

const failing = (): Promise<Delivery[]> => Promise.reject(new RangeError('lost'));

it('a batch whose time is over begins no further read, whose failure nobody would hear of', async () => {
  const source = new BatchSource(
    reading(async () => [delivery], slow),
    20,
  );
  expect(await source.read(10)).toHaveLength(2);
});

it('a read that fails while a batch waits fails the next one', async () => {
  const source = new BatchSource(
    reading(async () => [delivery], failing),
    1_000,
  );
  expect(await source.read(10)).toHaveLength(1);
  await expect(source.read(10)).rejects.toThrow('lost');
});
