import type { MessageContext } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

onBothBackends('a stream group', (bench) => {
  it('shares the entries: one consumer handles each, another group gets all again', async () => {
    const { broker, name } = bench();
    const seen: [string, number][] = [];
    const services = ['left', 'left', 'right'].map((group) => {
      const service = broker();
      const address = { stream: name(), group, maxRecords: 1 };
      service.subscriber(address, (body: number) => void seen.push([group, body]));
      return service;
    });
    await Promise.all(services.map((service) => service.start()));
    const sent = Array.from({ length: 40 }, (_, i) => i);
    await broker().publishBatch(sent, { stream: name() });
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(2 * sent.length));
    const of = (group: string): number[] =>
      seen.filter(([by]) => by === group).map(([, body]) => body);
    expect(of('left').toSorted((a, b) => a - b)).toEqual(sent);
    expect(of('right')).toEqual(sent);
  });

  it('handles the backlog when it is new', async () => {
    const { broker, name } = bench();
    const [client, service] = [broker(), broker()];
    await client.publishBatch(['a', 'b'], { stream: name() });
    const seen: unknown[] = [];
    service.subscriber({ stream: name(), group: 'g' }, (body: unknown) => void seen.push(body));
    await service.start();
    await eventually(() => expect(seen).toEqual(['a', 'b']));
  });

  it("skips the backlog when it is new and lastId is '$'", async () => {
    const { broker, name } = bench();
    const [client, service] = [broker(), broker()];
    await client.publishBatch(['a', 'b'], { stream: name() });
    const seen: unknown[] = [];
    const address = { stream: name(), group: 'g', lastId: '$' };
    service.subscriber(address, (body: unknown) => void seen.push(body));
    await service.start();
    await client.publish('c', { stream: name() });
    await eventually(() => expect(seen).toEqual(['c']));
  });

  it('goes on where it stopped: nothing twice, nothing skipped', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.connect(); // memory lives as long as somebody is connected
    const seen: unknown[] = [];
    const address = { stream: name(), group: 'g', consumer: 'c' };
    const first = broker();
    first.subscriber(address, (body: unknown) => void seen.push(['first', body]));
    await first.start();
    await client.publish(1, { stream: name() });
    await eventually(() => expect(seen).toEqual([['first', 1]]));
    await first.stop();
    await client.publish(2, { stream: name() });
    const second = broker();
    second.subscriber(address, (body: unknown) => void seen.push(['second', body]));
    await second.start();
    await client.publish(3, { stream: name() });
    await eventually(() => expect(seen).toHaveLength(3));
    expect(seen.slice(1)).toEqual([
      ['second', 2],
      ['second', 3],
    ]);
  });

  it.each([undefined, '0', '$'])(
    'hands a consumer its own pending entries first after a restart, then the new (lastId %s)',
    async (lastId) => {
      const { broker, name } = bench();
      const client = broker();
      const stream = name();
      const address = { stream, group: 'g', consumer: 'c', ackPolicy: 'manual' as const };
      const first = broker();
      let handled = 0;
      first.subscriber(address, () => void handled++);
      await first.start();
      const ids = await client.publishBatch(['a', 'b', 'c'], { stream });
      await eventually(() => expect(handled).toBe(3));
      await first.stop();
      await client.publish('d', { stream });

      const second = broker();
      const seen: unknown[] = [];
      const again = lastId === undefined ? address : { ...address, lastId };
      second.subscriber(again, async (body: unknown, ctx: MessageContext) => {
        seen.push([body, ctx.message.id === undefined ? -1 : ids.indexOf(ctx.message.id)]);
        seen.push(ctx.message.deliveryCount);
        await ctx.ack();
      });
      await second.start();
      await client.publish('e', { stream });
      await eventually(() => expect(seen).toHaveLength(10));
      expect(seen).toEqual([['a', 0], 2, ['b', 1], 2, ['c', 2], 2, ['d', -1], 1, ['e', -1], 1]);

      // All of them are acknowledged now: a third start brings none again.
      await second.stop();
      const third = broker();
      const late: unknown[] = [];
      third.subscriber(again, (body: unknown) => void late.push(body));
      await third.start();
      await client.publish('end', { stream });
      await eventually(() => expect(late).toEqual(['end']));
    },
  );

  it('does not hand a consumer what is pending for another', async () => {
    const { broker, name } = bench();
    const client = broker();
    const address = { stream: name(), group: 'g', ackPolicy: 'manual' as const };
    const first = broker();
    let handled = 0;
    first.subscriber({ ...address, consumer: 'first' }, () => void handled++);
    await first.start();
    await client.publish('for the first', { stream: name() });
    await eventually(() => expect(handled).toBe(1));
    await first.stop();
    const second = broker();
    const seen: unknown[] = [];
    second.subscriber({ ...address, consumer: 'second' }, (body: unknown) => void seen.push(body));
    await second.start();
    await client.publish('new', { stream: name() });
    await eventually(() => expect(seen).toEqual(['new']));
  });

  it('reads more own pending entries than one read brings', async () => {
    const { broker, name } = bench();
    const client = broker();
    const sent = Array.from({ length: 25 }, (_, i) => i);
    const address = { stream: name(), group: 'g', consumer: 'c', maxRecords: 4 } as const;
    const first = broker();
    let handled = 0;
    first.subscriber({ ...address, ackPolicy: 'manual' }, () => void handled++);
    await first.start();
    await client.publishBatch(sent, { stream: name() });
    await eventually(() => expect(handled).toBe(sent.length));
    await first.stop();
    const second = broker();
    const seen: unknown[] = [];
    second.subscriber(address, (body: unknown) => void seen.push(body));
    await second.start();
    await eventually(() => expect(seen).toEqual(sent));
  });

  it('keeps nothing pending with noAck', async () => {
    const { broker, name } = bench();
    const client = broker();
    const address = { stream: name(), group: 'g', consumer: 'c', noAck: true };
    const first = broker();
    let handled = 0;
    first.subscriber({ ...address, ackPolicy: 'manual' }, () => void handled++);
    await first.start();
    await client.publishBatch([1, 2], { stream: name() });
    await eventually(() => expect(handled).toBe(2));
    await first.stop();
    const second = broker();
    const seen: unknown[] = [];
    second.subscriber(address, (body: unknown) => void seen.push(body));
    await second.start();
    await client.publish(3, { stream: name() });
    await eventually(() => expect(seen).toEqual([3]));
  });

  it('reads the rest past entries that were deleted while they were pending', async () => {
    const { broker, name, backend, url } = bench();
    if (backend === 'memory') return; // memory has no XDEL
    const client = broker();
    const address = { stream: name(), group: 'g', consumer: 'c' };
    const first = broker();
    let handled = 0;
    first.subscriber({ ...address, ackPolicy: 'manual' }, () => void handled++);
    await first.start();
    const ids = await client.publishBatch([1, 2, 3], { stream: name() });
    await eventually(() => expect(handled).toBe(3));
    await first.stop();
    await rawClient(url).xdel(name(), ids[0] as string);
    const second = broker();
    const seen: unknown[] = [];
    second.subscriber(address, (body: unknown) => void seen.push(body));
    await second.start();
    await eventually(() => expect(seen).toEqual([2, 3]));
  });
});

describe('a consumer of a stream group', () => {
  it('has the name that it was given, and one of its own otherwise, gone at stop', async () => {
    const [stream, client] = [unique(), rawClient()];
    await client.xgroup('CREATE', stream, 'g', '0', 'MKSTREAM');
    const named = newBroker(redisUrl());
    const unnamed = newBroker(redisUrl());
    named.subscriber({ stream, group: 'g', consumer: 'me' }, () => 'named');
    unnamed.subscriber({ stream, group: 'g' }, () => 'unnamed');
    await Promise.all([named.start(), unnamed.start()]);
    const names = async (): Promise<string[]> => {
      const rows = (await client.xinfo('CONSUMERS', stream, 'g')) as unknown[];
      return rows.map((row) =>
        Array.isArray(row) ? String(row[1]) : (row as { name: string }).name,
      );
    };
    await eventually(async () => expect(await names()).toHaveLength(2));
    expect(await names()).toContain('me');
    await Promise.all([named.stop(), unnamed.stop()]);
    expect(await names()).toEqual(['me']);
  });

  it('trims the stream to about maxlen while it acknowledges', async () => {
    const [stream, client] = [unique(), rawClient()];
    const broker = newBroker(redisUrl());
    const seen: unknown[] = [];
    broker.subscriber({ stream, group: 'g', maxlen: 200 }, (body: unknown) => void seen.push(body));
    await broker.start();
    for (let round = 1; round <= 10; round++) {
      await broker.publishBatch(Array.from({ length: 100 }), { stream });
      await eventually(() => expect(seen).toHaveLength(100 * round));
    }
    await eventually(async () => {
      await broker.publish('one more', { stream });
      // Redis trims whole nodes of 100 entries.
      expect(await client.xlen(stream)).toBeLessThanOrEqual(400);
    });
  });

  it('is not robbed by maxlen of entries that nobody has handled yet', async () => {
    const [stream, broker] = [unique(), newBroker(redisUrl())];
    const seen = new Set<unknown>();
    const sent = Array.from({ length: 1_000 }, (_, i) => i);
    await broker.publishBatch(sent, { stream });
    broker.subscriber({ stream, group: 'g', maxlen: 10 }, (body: unknown) => void seen.add(body));
    await broker.start();
    await broker.publish('end', { stream });
    await eventually(() => expect(seen.has('end')).toBe(true));
    expect(seen.size).toBe(sent.length + 1);
  });
});
