import { expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const KINDS = ['channel', 'list', 'stream', 'group'] as const;
type Kind = (typeof KINDS)[number];

function from(kind: Kind, name: string): { list: string } {
  const address = kind === 'group' ? { stream: name, group: 'g' } : { [kind]: name };
  return address as { list: string };
}

function to(kind: Kind, name: string): { list: string } {
  return (kind === 'group' ? { stream: name } : { [kind]: name }) as { list: string };
}

/** A handler that stays in each message until it is let go, and counts how many are in at once. */
function gate() {
  const inside: { body: unknown; leave: () => void }[] = [];
  const entered: unknown[] = [];
  let most = 0;
  return {
    inside,
    entered,
    most: () => most,
    handler: (body: unknown) =>
      new Promise<void>((resolve) => {
        entered.push(body);
        const leave = (): void => {
          inside.splice(inside.indexOf(place), 1);
          resolve();
        };
        const place = { body, leave };
        inside.push(place);
        most = Math.max(most, inside.length);
      }),
  };
}

onBothBackends('concurrency', (bench) => {
  it.each(KINDS)('is 1 by default: strictly in order, one at a time (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    const { handler, inside, entered, most } = gate();
    service.subscriber(from(kind, name()), handler);
    await service.start();
    const sent = Array.from({ length: 12 }, (_, i) => i);
    for (const body of sent) await service.publish(body, to(kind, name()));
    for (const body of sent) {
      await eventually(() => expect(inside.map((place) => place.body)).toEqual([body]));
      inside[0]?.leave();
    }
    expect(entered).toEqual(sent);
    expect(most()).toBe(1);
  });

  it.each(KINDS)('lets that many handlers overlap, and not one more (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    const { handler, inside, entered, most } = gate();
    service.subscriber({ ...from(kind, name()), concurrency: 3 }, handler);
    await service.start();
    const sent = Array.from({ length: 9 }, (_, i) => i);
    for (const body of sent) await service.publish(body, to(kind, name()));
    await eventually(() => expect(inside).toHaveLength(3));
    // The second leaves first: its place is taken without waiting for the others.
    inside[1]?.leave();
    await eventually(() => expect(entered).toHaveLength(4));
    await eventually(() => {
      inside[0]?.leave();
      expect(entered).toHaveLength(sent.length);
    });
    expect(entered).toHaveLength(sent.length);
    expect(new Set(entered)).toEqual(new Set(sent));
    expect(most()).toBe(3);
    for (const place of [...inside]) place.leave();
  });

  it.each(['list', 'stream', 'group'] as const)(
    'holds for batches: one at a time by default (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const { handler, inside, entered, most } = gate();
      service.subscriber({ ...from(kind, name()), batch: true, maxRecords: 2 }, handler);
      await service.start();
      const sent = [1, 2, 3, 4, 5, 6];
      await service.publishBatch(sent, to(kind, name()));
      await eventually(() => {
        inside[0]?.leave();
        expect(entered.flat()).toEqual(sent);
      });
      expect(most()).toBe(1);
      for (const place of [...inside]) place.leave();
    },
  );

  it('of the broker is the default of its subscribers, whose own wins', async () => {
    const { broker, name } = bench();
    const service = broker({ concurrency: 2 });
    const [shared, own] = [gate(), gate()];
    service.subscriber({ list: name('shared') }, shared.handler);
    service.subscriber({ list: name('own'), concurrency: 1 }, own.handler);
    await service.start();
    await service.publishBatch([1, 2, 3], { list: name('shared') });
    await service.publishBatch([1, 2, 3], { list: name('own') });
    await eventually(() => expect(shared.inside).toHaveLength(2));
    await eventually(() => {
      own.inside[0]?.leave();
      expect(own.entered).toHaveLength(3);
    });
    expect([shared.most(), own.most()]).toEqual([2, 1]);
    await eventually(() => {
      shared.inside[0]?.leave();
      own.inside[0]?.leave();
      expect(shared.entered).toHaveLength(3);
      expect([...shared.inside, ...own.inside]).toEqual([]);
    });
  });

  it('goes on with the others when one handler fails', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), concurrency: 2 }, async (n: number) => {
      if (n % 2 === 1) throw new Error('odd');
      return n;
    });
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    const results = await Promise.allSettled(
      [0, 1, 2, 3, 4, 5].map((n) => service.publish(n, call)),
    );
    expect(results.map(({ status }) => status)).toEqual(
      [0, 1, 2, 3, 4, 5].map((n) => (n % 2 === 1 ? 'rejected' : 'fulfilled')),
    );
    expect(takeLogs()).toHaveLength(3);
  });
});

it('a slow handler does not hoard list items that another process could handle', async () => {
  const [list, client] = [unique(), rawClient()];
  const [slow, quick] = [newBroker(redisUrl()), newBroker(redisUrl())];
  const held = gate();
  const seen: unknown[] = [];
  slow.subscriber({ list }, held.handler);
  await slow.start();
  await slow.publish('first', { list });
  await eventually(() => expect(held.inside).toHaveLength(1));
  quick.subscriber({ list }, (body) => void seen.push(body));
  await quick.start();
  await quick.publishBatch([1, 2, 3], { list });
  await eventually(() => expect(seen).toEqual([1, 2, 3]));
  expect(await client.llen(list)).toBe(0);
  held.inside[0]?.leave();
});
