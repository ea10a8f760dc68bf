// The small print of docs/delivery.md and docs/guide/retries.md.
import { Reject, RedisRouter, type MessageFormat } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { unique } from '../support/redis.ts';

const text: MessageFormat = {
  encode: ({ headers, body }) =>
    Buffer.from(`~${JSON.stringify([headers, Buffer.from(body).toString('base64')])}`),
  decode: (frame) => {
    const [headers, body] = JSON.parse(frame.toString('utf8', 1)) as [
      Record<string, string>,
      string,
    ];
    return { headers, body: Buffer.from(body, 'base64') };
  },
};

function rejects(): never {
  throw new Reject('no');
}

onBothBackends('dead letters', (bench) => {
  it('that are nearly as many as are kept turn health yellow', async () => {
    const { broker, name } = bench();
    const service = broker();
    const deadLetter = { stream: name('dead'), maxlen: 10 };
    service.subscriber({ list: name(), reliable: true, deadLetter }, rejects);
    await service.start();
    const box = service.deadLetters(deadLetter);
    const die = async (count: number): Promise<void> => {
      await service.publishBatch([...Array(count).keys()], { list: name() });
      await eventually(async () => expect(await box.count()).toBeGreaterThanOrEqual(count));
    };
    await die(8);
    expect((await service.health()).status).toBe('green');
    await die(9);
    expect(await service.health()).toMatchObject({
      status: 'yellow',
      ready: true,
      problems: [expect.stringContaining('the oldest are about to be lost')],
    });
    await service.stop();
    takeLogs();
  });

  it('are listed a hundred at a time, also where they are chosen, and counted with what is none', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), reliable: true }, rejects);
    await service.start();
    await service.publishBatch([...Array(120).keys()], { list: name() });
    const box = service.deadLetters({ stream: `${name()}:dead` });
    await eventually(async () => expect(await box.count()).toBe(120));
    await service.publish('none', { stream: `${name()}:dead` });
    const all = await box.list({ count: 200 });
    expect(all).toHaveLength(121);
    expect(await box.list()).toHaveLength(100);
    expect(await box.list({ ids: all.map(({ id }) => id) })).toHaveLength(100);
    expect(await box.redrive({ ids: all.slice(119).map(({ id }) => id) })).toBe(1);
    await eventually(async () => expect(await box.count()).toBe(121));
    expect(await box.remove()).toBe(121);
    await service.stop();
    takeLogs();
  });

  it('of another format are readable up to 48 kB, and bytes beyond', async () => {
    const { broker, name } = bench();
    const service = broker({ format: text });
    service.subscriber({ list: name(), reliable: true }, rejects);
    await service.start();
    for (const length of [30_000, 60_000])
      await service.publish('x'.repeat(length), { list: name() });
    const box = service.deadLetters({ stream: `${name()}:dead` });
    await eventually(async () => expect(await box.count()).toBe(2));
    const [small, large] = await box.list();
    expect(small?.body).toBe('x'.repeat(30_000));
    expect(text.decode(large?.body as Buffer).body.toString()).toBe('x'.repeat(60_000));
    expect(large).toMatchObject({ error: 'Reject: no', origin: { list: name() } });
    await service.stop();
    takeLogs();
  });
});

function lines(): string[] {
  return takeLogs()
    .map(({ message }) => message)
    .filter((line) => /does not take the dead letter/.test(line));
}

it('that dead letters cannot be sent is logged at once, and then once a minute', async () => {
  const name = unique();
  const broker = newBroker(`memory://${name}`);
  broker.subscriber({ list: 'x', reliable: true, deadLetter: { stream: 'dead' } }, rejects);
  await using test = await testBroker(broker);
  await broker.publish('of another type', { list: 'dead' });
  await broker.publish(1, { list: 'x' });
  await test.idle();
  expect(lines()).toEqual([expect.stringContaining('which is tried again')]);
  for (let second = 0; second < 600; second += 10) await test.advance(10_000);
  const later = lines();
  expect(later.length).toBeGreaterThanOrEqual(5);
  expect(later.length).toBeLessThanOrEqual(10);
  for (const line of later) expect(line).toContain('still does not take');
  await broker.stop();
  takeLogs();
});

onBothBackends('a failed message', (bench) => {
  it.each(['a broker', 'a router'])(
    'whose `retry` is set on %s is retried, calls too',
    async (on) => {
      const { broker, name } = bench();
      const options = { retry: { maxDeliveries: 2, backoff: 1 } };
      const service = broker(on === 'a broker' ? options : {});
      const router = new RedisRouter(on === 'a router' ? options : {});
      let deliveries = 0;
      router.subscriber({ list: name(), reliable: true }, () => {
        if (++deliveries === 1) throw new Error('no');
        return 'done';
      });
      service.include(router);
      await service.start();
      const call = { list: name(), rpc: true, timeout: 20_000 } as const;
      expect(await service.publish(1, call)).toBe('done');
      expect(deliveries).toBe(2);
      takeLogs();
    },
  );

  it('is none where its handler ends within its `timeout` again: what it returns counts', async () => {
    const { broker, name } = bench();
    const service = broker();
    const aborted: boolean[] = [];
    const options = { timeout: 100, retry: { maxDeliveries: 2, backoff: 1 } };
    service.subscriber({ list: name(), reliable: true, ...options }, async (_, { signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await pause(1);
      aborted.push(signal.aborted);
      return 'late';
    });
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('late');
    expect(aborted).toEqual([true]);
  });
});
