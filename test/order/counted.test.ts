// What an ordered subscriber finds again is counted as delivered when its handler begins.
import { expect, it } from 'vitest';
import { createHash } from 'node:crypto';
import { deferred } from '../../src/internal/deferred.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

/** A subscriber whose first handler waits until `end` is called; `hasAll` resolves when it holds so many messages. */
async function start(from: object) {
  const service = newBroker(redisUrl());
  const { promise: ended, resolve: end } = deferred<void>();
  const handled: [body: unknown, delivery: number][] = [];
  const options = { ...from, ordered: true, concurrency: 2 };
  service.subscriber(options as never, async (body, { message }) => {
    handled.push([body, message.deliveryCount]);
    await ended;
  });
  await service.start();
  const hasAll = (count: number): Promise<unknown> =>
    eventually(async () => {
      const [state] = (await service.health()).subscribers;
      expect([state?.held, handled.length]).toEqual([count, 1]);
    });
  return { end, handled, hasAll };
}

it('an entry of a group that waited for its lane counts when it begins, and is left to whoever has taken it meanwhile', async () => {
  const [stream, raw] = [unique(), rawClient()];
  const sender = newBroker(redisUrl());
  const ids = await sender.publishBatch([1, 2, 3], { stream, key: () => 'a' });
  // As a process leaves them that was killed.
  await raw.xgroup('CREATE', stream, 'g', '0');
  await raw.xreadgroup('GROUP', 'g', 'one', 'COUNT', 3, 'STREAMS', stream, '>');
  const { end, handled, hasAll } = await start({ stream, group: 'g', consumer: 'one' });
  await hasAll(3);
  const counts = async (): Promise<unknown> =>
    ((await raw.xpending(stream, 'g', '-', '+', 10)) as unknown[][]).map(([, , , count]) => count);
  expect(await counts()).toEqual([2, 1, 1]);
  await raw.xclaim(stream, 'g', 'two', 0, ids[1] as string, 'JUSTID');
  end();
  await eventually(() => expect(handled).toHaveLength(2));
  expect(handled).toEqual([
    [1, 2],
    [3, 2],
  ]);
  await eventually(async () => expect(await counts()).toEqual([1]));
});

it('an item of a reliable list that waited for its lane counts when it begins, and is left to whoever has taken it meanwhile', async () => {
  const [list, raw] = [unique(), rawClient()];
  const sender = newBroker(redisUrl());
  await sender.publishBatch([1, 2, 3], { list, key: () => 'a' });
  // As they are when a dead consumer's items have gone back.
  const keys = `redstart:list:{${list}}`;
  for (const item of await raw.lrangeBuffer(list, 0, -1))
    await raw.hset(`${keys}:counts`, createHash('sha1').update(item).digest('hex'), '1');
  const { end, handled, hasAll } = await start({ list, reliable: true });
  await hasAll(3);
  const [held = ''] = await raw.keys(`${keys}:held:*`);
  const tokens = async (): Promise<string[]> => (await raw.hkeys(held)).toSorted();
  const counts = async (): Promise<(string | undefined)[]> =>
    (await tokens()).map((token) => /-?:\d+$/.exec(token)?.[0]);
  expect(await counts()).toEqual([':2', '-:1', '-:1']);
  const second = (await tokens()).find((token) => token.endsWith('-:1'));
  await raw.hdel(held, second as string);
  end();
  await eventually(() => expect(handled).toHaveLength(2));
  expect(handled).toEqual([
    [1, 2],
    [3, 2],
  ]);
  await eventually(async () => expect(await tokens()).toEqual([]));
});
