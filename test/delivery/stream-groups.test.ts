import { RedisBroker, SetupError } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

describe.each(['memory', 'redis'])('broker.groups (%s)', (backend) => {
  const url = (): string => (backend === 'redis' ? redisUrl() : `memory://${unique()}`);

  it('lists groups, and has one go on at the start, the end, a time or after an id', async () => {
    const broker = newBroker(url(), { prefix: `${unique()}:` });
    const groups = broker.groups('orders');
    expect(await groups.list()).toEqual([]);
    const seen: unknown[] = [];
    const address = { stream: 'orders', group: 'mail', lastId: '0' };
    const subscriber = broker.subscriber(address, (body) => void seen.push(body));
    const ids: string[] = [];
    for (const body of ['a', 'b', 'c']) ids.push(await broker.publish(body, { stream: 'orders' }));
    await broker.start();
    await expect.poll(() => seen).toEqual(['a', 'b', 'c']);
    await expect.poll(async () => (await groups.list())[0]?.pending).toBe(0);
    expect(await groups.list()).toEqual([
      { name: 'mail', lastId: ids[2], pending: 0, lag: 0, consumers: 1 },
    ]);
    const [a, , c] = ids as [string, string, string];

    await groups.seek('mail', { to: 'start' });
    // A reader that waits for new entries looks again when one comes.
    await broker.publish('d', { stream: 'orders' });
    await expect.poll(() => seen.slice(3)).toEqual(['a', 'b', 'c', 'd']);
    await groups.seek('mail', { to: a });
    await broker.publish('e', { stream: 'orders' });
    await expect.poll(() => seen.slice(7)).toEqual(['b', 'c', 'd', 'e']);

    await subscriber.stop();
    const at = new Date(Number(c.split('-')[0]));
    await groups.seek('mail', { to: at });
    const [moved] = await groups.list();
    expect(BigInt((moved?.lastId ?? '').split('-')[0] ?? '')).toBe(BigInt(at.getTime() - 1));
    await groups.seek('mail', { to: new Date(0) });
    expect((await groups.list())[0]?.lastId).toBe('0-0');
    await groups.seek('mail', { to: '5' });
    expect((await groups.list())[0]?.lastId).toBe('5-0');
    await groups.seek('mail', { to: 'end' });
    expect((await groups.list())[0]).toMatchObject({ lag: 0 });

    expect(await groups.remove('mail')).toBe(true);
    expect(await groups.remove('mail')).toBe(false);
    expect(await groups.list()).toEqual([]);
  });

  it('says what is wrong: no such group, no place in a stream, no name', async () => {
    const broker = newBroker(url());
    const name = unique();
    const groups = broker.groups(name);
    const seek = (to: unknown, group = 'mail'): Promise<void> =>
      groups.seek(group, { to } as { to: string });
    await expect(seek('start')).rejects.toThrow(`seek: stream '${name}' has no group 'mail'`);
    for (const to of ['yesterday', '', '1-2-3', '-1', 5, null, undefined, new Date(Number.NaN)])
      await expect(seek(to)).rejects.toThrow(/seek: 'to' must be 'start', 'end', a Date or the id/);
    await expect(groups.seek('mail', 'start' as never)).rejects.toThrow('seek: expected { to }');
    await expect(groups.seek('mail', { at: 'start' } as never)).rejects.toThrow(SetupError);
    expect(() => broker.groups('')).toThrow("groups: 'stream' must not be empty");
    expect(() => broker.groups(undefined as never)).toThrow("groups: 'stream' must be a string");
  });
});

it('on Redis, a group that is removed takes the due times of its retries with it', async () => {
  const name = unique();
  const broker = new RedisBroker(redisUrl(), { logger: false });
  const options = { retry: { maxDeliveries: 3, backoff: 3_600_000 } };
  broker.subscriber({ stream: name, group: 'g', ...options }, () => {
    throw new Error('later');
  });
  await broker.start();
  await broker.publish(1, { stream: name });
  const client = rawClient();
  const keys = (): Promise<string[]> => client.keys(`redstart:group:{${name}}:g:parked`);
  await expect.poll(keys).toHaveLength(1);
  await broker.stop();
  const other = newBroker(redisUrl());
  expect(await other.groups(name).remove('g')).toBe(true);
  expect(await keys()).toEqual([]);
});
