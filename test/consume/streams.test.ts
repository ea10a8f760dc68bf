import type { MessageContext } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

onBothBackends('a stream subscriber without a group', (bench) => {
  it('handles what is new since the start, and nothing older', async () => {
    const { broker, name } = bench();
    const [client, service] = [broker(), broker()];
    const seen: unknown[] = [];
    service.subscriber({ stream: name() }, (body) => void seen.push(body));
    await client.publish('old', { stream: name() });
    await service.start();
    await client.publish('new', { stream: name() });
    await client.publish('newer', { stream: name() });
    await eventually(() => expect(seen).toEqual(['new', 'newer']));
  });

  it("handles everything with lastId '0'", async () => {
    const { broker, name } = bench();
    const [client, service] = [broker(), broker()];
    const seen: unknown[] = [];
    service.subscriber({ stream: name(), lastId: '0' }, (body) => void seen.push(body));
    await client.publishBatch(['a', 'b'], { stream: name() });
    await service.start();
    await client.publish('c', { stream: name() });
    await eventually(() => expect(seen).toEqual(['a', 'b', 'c']));
  });

  it('handles what comes after the id in lastId', async () => {
    const { broker, name } = bench();
    const [client, service] = [broker(), broker()];
    const ids = await client.publishBatch(['a', 'b', 'c'], { stream: name() });
    const seen: unknown[] = [];
    const address = { stream: name(), lastId: ids[0] as string };
    service.subscriber(address, (body: unknown, { message }: MessageContext) => {
      seen.push([body, message.id]);
    });
    await service.start();
    await eventually(() =>
      expect(seen).toEqual([
        ['b', ids[1]],
        ['c', ids[2]],
      ]),
    );
  });

  it('reaches every reader', async () => {
    const { broker, name } = bench();
    const seen: string[] = [];
    const services = ['a', 'b'].map((at) => {
      const service = broker();
      service.subscriber({ stream: name() }, (body) => void seen.push(`${at} ${body}`));
      return service;
    });
    await Promise.all(services.map((service) => service.start()));
    await broker().publish(1, { stream: name() });
    await eventually(() => expect(seen.toSorted()).toEqual(['a 1', 'b 1']));
  });

  it('loses nothing of a tight loop of messages while the handler is busy', async () => {
    const { broker, name } = bench();
    const [client, service] = [broker(), broker()];
    const seen: unknown[] = [];
    service.subscriber({ stream: name(), maxRecords: 3 }, async (body: number) => {
      seen.push(body);
      if (body % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    });
    await service.start();
    const sent = Array.from({ length: 500 }, (_, i) => i);
    for (const body of sent) await client.publish(body, { stream: name() });
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(sent.length));
    expect(seen).toEqual(sent);
  });

  it('loses nothing that comes right after the start, before the first read returns', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.connect();
    for (let round = 0; round < 10; round++) {
      const service = broker();
      const stream = name(String(round));
      const seen: unknown[] = [];
      service.subscriber({ stream }, (body) => void seen.push(body));
      await service.start();
      await client.publish(round, { stream });
      await eventually(() => expect(seen).toEqual([round]));
    }
  });

  it('answers calls', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ stream: name() }, (n: number) => n + 1);
    await service.start();
    expect(await service.publish(1, { stream: name(), rpc: true, timeout: 20_000 })).toBe(2);
  });

  it('knows the stream as the source and the id of the entry', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ stream: name() }, (_, { message }) => {
      seen.push([message.source, message.id, message.deliveryCount]);
    });
    await service.start();
    const id = await service.publish(1, { stream: name() });
    await eventually(() => expect(seen).toEqual([[{ stream: name() }, id, 1]]));
  });
});

describe('a stream that is not there', () => {
  it('is created with its group at the start', async () => {
    const [broker, client, stream] = [newBroker(redisUrl()), rawClient(), unique()];
    broker.subscriber({ stream, group: 'g' }, () => undefined);
    await broker.start();
    expect(await client.xinfo('GROUPS', stream)).toHaveLength(1);
    expect(await client.xlen(stream)).toBe(0);
  });

  it('is an error at the start with declare: false, and stays missing', async () => {
    const [broker, client, stream] = [newBroker(redisUrl()), rawClient(), unique()];
    broker.subscriber({ stream, group: 'g', declare: false }, () => undefined);
    await expect(broker.start()).rejects.toThrow(stream);
    expect(await client.exists(stream)).toBe(0);
  });

  it('is used with declare: false where it is there', async () => {
    const [broker, client, stream] = [newBroker(redisUrl()), rawClient(), unique()];
    await client.xgroup('CREATE', stream, 'g', '0', 'MKSTREAM');
    const seen: unknown[] = [];
    const address = { stream, group: 'g', declare: false } as const;
    broker.subscriber(address, (body: unknown) => void seen.push(body));
    await broker.start();
    await broker.publish(1, { stream });
    await eventually(() => expect(seen).toEqual([1]));
  });
});
