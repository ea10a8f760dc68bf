// Somebody sets the clock of the server back: nothing is lost, and nothing waits until it is as late again.
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const DAY = 86_400_000;

/** A client whose server seems to be `ms` ahead until `right` is called. */
function clientAhead(ms: number): { client: Redis; right: () => void } {
  const client = new Redis(redisUrl());
  onTestFinished(() => client.disconnect());
  const time = client.time.bind(client);
  client.time = async () => {
    const [seconds, micros] = await time();
    return [Number(seconds) + ms / 1_000, Number(micros)];
  };
  return { client, right: () => (client.time = time) };
}

it.each([
  ['list', {}],
  ['stream', { group: 'g', batch: true }],
  ['stream by hand', { group: 'g' }],
] as const)(
  'nothing is dropped as expired by a server’s time from before (%s)',
  async (place, more) => {
    const name = unique('ahead');
    const kind = place === 'list' ? 'list' : 'stream';
    const to = { [kind]: name } as { list: string };
    const { client, right } = clientAhead(DAY);
    const service = newBroker(client);
    const got: unknown[] = [];
    if (place === 'stream by hand') await service.connect();
    else
      service.subscriber({ ...to, ...more } as object as typeof to, (body) => void got.push(body));
    await service.start();
    right();
    const others = newBroker(redisUrl());
    for (const body of [1, 2]) await others.publish(body, { ...to, expires: 60_000 });
    if (place === 'stream by hand') {
      await using taken = await service.subscribe({ stream: name, group: 'g' });
      for (let n = 0; n < 2; n++) got.push((await taken.next({ timeout: 20_000 }))?.body);
    } else got.push((await others.publish(3, { ...to, rpc: true, timeout: 20_000 })) ?? 'answered');
    const all = place === 'stream by hand' ? [1, 2] : [1, 2, 3, 'answered'];
    await eventually(() => expect(got.flat()).toEqual(all));
    expect(service.stats.expiredRequests).toBe(0);
  },
);

it('a repeated message goes on with the next period', async () => {
  const [client, list] = [rawClient(), unique('every')];
  const got: unknown[] = [];
  const service = newBroker(redisUrl());
  service.subscriber({ list }, (body) => void got.push(body));
  await service.start();
  const key = `redstart:every:{${list}}:list:tick`;
  await client.hset(key, { last: Date.now() + DAY, claim: Date.now() + DAY });
  const series = service.every(100, { id: 'tick', list, body: 'tick' });
  await eventually(() => expect(got.length).toBeGreaterThan(2));
  await series.remove();
});

it.each(['list', 'stream'] as const)('a rate goes on at once (%s)', async (kind) => {
  const [client, name] = [rawClient(), unique('rate')];
  const got: unknown[] = [];
  const service = newBroker(redisUrl());
  const at = kind === 'list' ? { list: name } : { stream: name, group: 'g' };
  const rate = { limit: 100, per: 1_000 };
  service.subscriber({ ...at, rate } as object as { list: string }, (body) => void got.push(body));
  await service.start();
  const to = { [kind]: name } as { list: string };
  await service.publish(1, to);
  await eventually(() => expect(got).toEqual([1]));
  // What was written a day in the future, as it is seen when the clock is right again.
  const key = `redstart:rate:{${name}}${kind === 'list' ? '' : ':g'}`;
  const future = (Date.now() + DAY) * 1_000;
  await client.set(key, `${future + 5_000} ${future}`);
  await service.publish(2, to);
  await eventually(() => expect(got).toEqual([1, 2]));
  expect(Number((await client.get(key))?.split(' ')[1])).toBeLessThan(future);
});
