import { expect, it } from 'vitest';
import { PushSource } from '../../src/transport/push-source.ts';

const CAPACITY = 65_536;

it('a subscriber that falls behind loses what comes after 65 536, and is told so once', async () => {
  const reports: string[] = [];
  const source = new PushSource(
    (problem) => reports.push(problem),
    async () => {},
  );
  const frame = Buffer.from('x');
  for (let i = 0; i < CAPACITY; i++) source.push(frame, 'c');
  expect(source.dropped).toBe(0);
  expect(reports).toEqual([]);
  for (let i = 0; i < 10; i++) source.push(frame, 'c');
  expect(source.dropped).toBe(10);
  expect(reports).toHaveLength(1);

  expect(await source.read(CAPACITY)).toHaveLength(CAPACITY);
  source.push(Buffer.from('after'), 'c');
  expect((await source.read(10)).map(({ frame: late }) => String(late))).toEqual(['after']);

  // Caught up, and behind again: that is news.
  for (let i = 0; i < CAPACITY + 1; i++) source.push(frame, 'c');
  expect(reports).toHaveLength(2);
});

it('what waits is 64 MiB at most, however few messages', async () => {
  const reports: string[] = [];
  const source = new PushSource(
    (problem) => reports.push(problem),
    async () => {},
  );
  const frame = Buffer.alloc(2 ** 20);
  for (let i = 0; i < 64; i++) source.push(frame, 'c');
  expect(source.dropped).toBe(0);
  for (let i = 0; i < 5; i++) source.push(frame, 'c');
  expect(source.dropped).toBe(5);
  expect(reports).toHaveLength(1);
  expect(await source.read(10)).toHaveLength(10);
  for (let i = 0; i < 10; i++) source.push(frame, 'c');
  expect(source.dropped).toBe(5);
});

it('what arrived before a stop is still read, what comes after is not taken', async () => {
  const source = new PushSource(
    () => {},
    async () => {},
  );
  source.push(Buffer.from('before'), 'c');
  await source.stop();
  source.push(Buffer.from('after'), 'c');
  expect((await source.read(10)).map(({ frame }) => String(frame))).toEqual(['before']);
  expect(await source.read(10)).toEqual([]);
});
