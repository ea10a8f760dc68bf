import { BrokerClosedError } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

onBothBackends("a broker's life", (bench) => {
  it('may be started twice: a message is handled once', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void seen.push(body));
    service.subscriber(name('c'), (body) => void seen.push(body));
    await Promise.all([service.start(), service.start()]);
    await service.start();
    expect(await service.publish('channel', name('c'))).toBe(1);
    await service.publish('list', { list: name() });
    await eventually(() => expect(seen).toHaveLength(2));
    await service.publish('end', { list: name(), rpc: true, timeout: 20_000 });
    expect(seen.filter((body) => body === 'list')).toHaveLength(1);
    expect(seen).toHaveLength(3);
  });

  it('may be stopped twice, before the start, and without one', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.stop();
    service.subscriber(name(), () => 'fine');
    await service.start();
    await Promise.all([service.stop(), service.stop()]);
    await service.stop();
    expect(await broker().stop()).toBeUndefined();
  });

  it('may be stopped while it starts: start rejects, and nothing is left running', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name('list') }, (body) => void seen.push(body));
    service.subscriber(name('channel'), (body) => void seen.push(body));
    const starting = service.start();
    const stopping = service.stop();
    const [started] = await Promise.allSettled([starting, stopping]);
    const reason: unknown = started.status === 'rejected' ? started.reason : undefined;
    expect([undefined, 'BrokerClosedError']).toContain((reason as Error | undefined)?.name);
    const client = broker();
    // The server may hear last of the end of a connection.
    await eventually(async () => expect(await client.publish(1, name('channel'))).toBe(0));
    await client.publish(2, { list: name('list') });
    // Who comes next gets the item, since nobody else listens any more.
    await using consumer = await client.subscribe({ list: name('list') });
    expect((await consumer.next({ timeout: 20_000 }))?.body).toBe(2);
    expect(seen).toEqual([]);
  });

  it('ends with `await using`', async () => {
    const { broker, name } = bench();
    const client = broker();
    {
      await using service = broker();
      service.subscriber(name(), () => 'here');
      await service.start();
      const call = { channel: name(), rpc: true, timeout: 20_000 } as const;
      expect(await client.publish(1, call)).toBe('here');
    }
    await eventually(async () => expect(await client.publish(1, name())).toBe(0));
  });

  it('can begin again after a stop', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name('channel'), (n: number) => n + 1);
    service.subscriber({ list: name('list') }, (n: number) => n + 2);
    service.subscriber({ stream: name('stream'), group: 'g' }, (n: number) => n + 3);
    for (let round = 0; round < 3; round++) {
      await service.start();
      const call = { rpc: true, timeout: 20_000 } as const;
      expect(await service.publish(round, { channel: name('channel'), ...call })).toBe(round + 1);
      expect(await service.publish(round, { list: name('list'), ...call })).toBe(round + 2);
      expect(await service.publish(round, { stream: name('stream'), ...call })).toBe(round + 3);
      await service.stop();
    }
  });

  it('can begin again while it stops', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), () => 'again');
    await service.start();
    const stopping = service.stop();
    await service.start();
    await stopping;
    const call = { channel: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('again');
  });

  it('begins with the first publish where nothing has connected before', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name('channel'), (body) => body);
    await service.start();
    expect(await broker().publish(1, name('channel'))).toBe(1);
    expect(await broker().publish(1, { list: name('list') })).toBe(1);
    expect(await broker().publish(1, { stream: name('stream') })).toMatch(/^\d+-\d+$/);
    const call = { channel: name('channel'), timeout: 20_000 };
    expect((await broker().request('x', call)).body).toBe('x');
  });

  it('is over for publishers after a stop: BrokerClosedError', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    await service.stop();
    const closed = { code: 'BROKER_CLOSED' };
    await expect(service.publish(1, name())).rejects.toMatchObject(closed);
    await expect(service.publish(1, { list: name() })).rejects.toMatchObject(closed);
    await expect(service.request(1, { channel: name() })).rejects.toMatchObject(closed);
    await expect(service.publishBatch([1], { stream: name() })).rejects.toMatchObject(closed);
    await expect(service.subscribe(name())).rejects.toMatchObject(closed);
  });

  it('ends the calls that wait when it stops', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.connect();
    // Nobody reads the list, so nobody answers.
    const call = client.publish(1, { list: name(), rpc: true, timeout: null });
    const settled = call.catch((error: unknown) => error);
    await eventually(() => expect(client.stats.pendingCalls).toBe(1));
    await client.stop();
    expect(await settled).toBeInstanceOf(BrokerClosedError);
    expect(client.stats.pendingCalls).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 20)); // for a log line that comes late
    expect(takeLogs()).toEqual([]);
  });

  it('answers ping while it is connected', async () => {
    const { broker } = bench();
    const service = broker();
    await service.connect();
    await eventually(async () => expect(await service.ping()).toBe(true));
    await service.stop();
    expect(await service.ping()).toBe(false);
  });
});

it('leaves no connection on the server after a stop', async () => {
  const client = rawClient();
  const name = unique();
  const service = newBroker(redisUrl());
  service.subscriber(name, () => 1);
  service.subscriber({ list: name }, () => 1);
  service.subscriber({ stream: `${name}:s`, group: 'g' }, () => 1);
  await service.start();
  await service.publish(1, { channel: name, rpc: true, timeout: 20_000 });
  const id = await service.client.client('ID');
  expect(await client.client('LIST', 'ID', id)).toContain(`id=${id} `);
  await service.stop();
  await eventually(async () => expect(await client.client('LIST', 'ID', id)).toBe(''));
  await eventually(async () => expect(await client.publish(name, 'anybody?')).toBe(0));
});
