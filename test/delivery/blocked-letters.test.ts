import { ConnectionError, SendError } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { redisUrl, unique } from '../support/redis.ts';

onBothBackends('a redrive', (bench) => {
  it.each(['list', 'stream'] as const)(
    'is not blocked by letters whose place is of another type by now, and says so (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const handled: unknown[] = [];
      let isBroken = true;
      const handle = (body: unknown): void => {
        if (isBroken) throw new Error('no');
        handled.push(body);
      };
      const deadLetter = { [kind]: name('box') } as { list: string };
      const options = { reliable: true, retry: false, deadLetter } as const;
      const changed = service.subscriber({ list: name('changed'), ...options }, handle);
      service.subscriber({ list: name('same'), ...options }, handle);
      await service.start();
      const box = service.deadLetters(deadLetter);
      for (const [i, list] of ['changed', 'same', 'changed', 'same'].entries()) {
        await service.publish(i, { list: name(list) });
        await eventually(async () => expect(await box.count()).toBe(i + 1));
      }
      await changed.stop();
      // The empty list is gone: its name may be that of a stream.
      await service.publish('x', { stream: name('changed') });
      isBroken = false;
      const error: unknown = await box.redrive().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(SendError);
      expect(error).toMatchObject({
        code: 'SEND',
        address: `list '${name('changed')}'`,
        message: expect.stringMatching(
          /WRONGTYPE .*\(dead letters that stay for such a reason: 2, sent back: 2\)$/,
        ),
      });
      await eventually(() => expect(handled).toEqual([1, 3]));
      expect((await box.list()).map(({ body }) => body)).toEqual([0, 2]);
      takeLogs();
    },
  );
});

onBothBackends('what Redis refuses about a place', (bench) => {
  it('is an error with a code and the words of Redis: dead letters, groups', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.publish(1, { list: name('list') });
    const stream = name('list');
    const box = client.deadLetters({ stream });
    const asked = {
      count: () => box.count(),
      list: () => box.list(),
      redrive: () => box.redrive(),
      groups: () => client.groups(stream).list(),
    };
    for (const ask of Object.values(asked)) {
      const error: unknown = await ask().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error).toMatchObject({
        message: expect.stringContaining(`stream '${stream}': WRONGTYPE`),
      });
    }
  });
});

it('what Redis refuses to hand out by hand is an error with a code and its words', async () => {
  const client = newBroker(redisUrl());
  const stream = unique();
  await client.publish(1, { list: stream });
  const reading = await client.subscribe({ stream, lastId: '0' });
  await expect(reading.next()).rejects.toMatchObject({
    code: 'CONNECTION',
    message: expect.stringContaining(`stream '${stream}': WRONGTYPE`),
  });
});
