import { IdConflictError } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

onBothBackends('a delayed message with an id', (bench) => {
  it.each(['list', 'stream'] as const)(
    'has its id as handle, and is sent once to a %s; its window begins then',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const got: unknown[] = [];
      const place = { [kind]: name() } as { stream: string };
      service.subscriber(place, (body, ctx) => void got.push([body, ctx.message.messageId]));
      await service.start();
      const later = { ...place, id: 'a', idWindow: 60_000, delay: 100 };
      expect(await service.publish(1, later)).toBe('a');
      expect(await service.publish(1, later)).toBe('a');
      // While it waits it has no entry: also one that is to be sent now is known by its id.
      expect(await service.publish(1, { ...place, id: 'a' })).toBe('a');
      await expect(service.publish(2, later)).rejects.toBeInstanceOf(IdConflictError);
      await expect(service.publish(2, { ...place, id: 'a' })).rejects.toBeInstanceOf(
        IdConflictError,
      );
      await eventually(() => expect(got).toEqual([[1, 'a']]));
      const again = await service.publish(1, { ...place, id: 'a' });
      expect(again).toMatch(kind === 'stream' ? /^\d+-\d+$/ : /^a$/);
      expect(await service.publish(1, later)).toBe('a');
      await service.publish('last', place);
      await eventually(() => expect(got).toHaveLength(2));
      expect(got[0]).toEqual([1, 'a']);
    },
  );

  it('is taken back together with its id', async () => {
    const { broker, name } = bench();
    const service = broker();
    const got: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void got.push(body));
    await service.start();
    const to = { list: name(), id: 'a' };
    await service.publish('old', { ...to, delay: 60_000 });
    expect(await service.cancel({ list: name() }, 'a')).toBe(true);
    expect(await service.cancel({ list: name() }, 'a')).toBe(false);
    expect(await service.publish('new', { ...to, delay: 1 })).toBe('a');
    await eventually(() => expect(got).toEqual(['new']));
    expect(await service.cancel({ list: name() }, 'a')).toBe(false);
    // Its window has begun: cancelling nothing forgets nothing.
    await expect(service.publish('other', to)).rejects.toBeInstanceOf(IdConflictError);
  });

  it.each([false, true])('is kept in a pipeline (transaction: %s)', async (transaction) => {
    const { broker, name } = bench();
    const service = broker();
    const send = (body: string): Promise<unknown> =>
      service
        .pipeline({ transaction })
        .publish(body, { list: name(), id: 'a', delay: 60_000 })
        .publish('plain', { list: name('other') })
        .send();
    expect(await send('x')).toEqual(['a', 1]);
    expect(await send('x')).toEqual(['a', 2]);
    await expect(send('y')).rejects.toMatchObject({
      results: [
        { status: 'rejected', reason: expect.any(IdConflictError) },
        { status: 'fulfilled', value: 3 },
      ],
    });
    expect(await service.cancel({ list: name() }, 'a')).toBe(true);
  });
});

it('the mark of a delayed message outlives its delay, and has its window from then on', async () => {
  const broker = newBroker(redisUrl());
  const client = rawClient();
  const stream = unique();
  const key = `redstart:sent:{${stream}}:a`;
  const began = performance.now();
  await broker.publish(1, { stream, maxlen: 10, id: 'a', idWindow: 5_000, delay: 200 });
  // However long that takes on a busy machine: from the publish on it lives for delay and window.
  const left = await client.pttl(key);
  expect(left + performance.now() - began).toBeGreaterThan(5_150);
  await eventually(async () => expect(await client.xlen(stream)).toBe(1));
  expect(await client.pttl(key)).toBeLessThanOrEqual(5_000);
  await client.del(key, stream);
});
