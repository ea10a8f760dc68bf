import { Response } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const Order = z.object({ sku: z.string(), quantity: z.number().default(1) });

type Kind = 'list' | 'stream' | 'group';

/** The address to subscribe to; everything that was sent before is in it. */
function from(kind: Kind, name: string) {
  if (kind === 'list') return { list: name } as const;
  return { stream: name, lastId: '0', ...(kind === 'group' ? { group: 'g' } : {}) } as const;
}

/** Where to send. Said to be a list, because the compiler wants to know which of the two. */
function to(kind: Kind, name: string): { list: string } {
  return (kind === 'list' ? { list: name } : { stream: name }) as { list: string };
}

function callTo(kind: Kind, name: string) {
  return { ...to(kind, name), rpc: true, timeout: 20_000 } as const;
}

describe.each(['list', 'stream', 'group'] as const)('a batch from a %s', (kind) => {
  onBothBackends('is handed over', (bench) => {
    it('as an array of what there is, in order', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      const batches: unknown[][] = [];
      service.subscriber(
        { ...from(kind, name()), batch: true },
        (bodies) => void batches.push(bodies),
      );
      await client.publishBatch(['a', { b: 1 }, 3], to(kind, name()));
      await service.start();
      await eventually(() => expect(batches.flat()).toEqual(['a', { b: 1 }, 3]));
      expect(batches).toHaveLength(1);
    });

    it('as an array of one where there is one', async () => {
      const { broker, name } = bench();
      const service = broker();
      const batches: unknown[][] = [];
      service.subscriber(
        { ...from(kind, name()), batch: true },
        (bodies) => void batches.push(bodies),
      );
      await service.start();
      await service.publish('alone', to(kind, name()));
      await eventually(() => expect(batches).toEqual([['alone']]));
    });

    it('that waits up to maxWait to be full, and not longer; a stop loses nothing of it', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      const batches: { bodies: unknown[]; at: number }[] = [];
      const place = { ...from(kind, name()), batch: true, maxRecords: 3, maxWait: 400 } as const;
      const keep = (bodies: unknown[]): void => {
        batches.push({ bodies, at: performance.now() });
      };
      service.subscriber(place, keep);
      await service.start();
      const began = performance.now();
      await client.publishBatch([1, 2], to(kind, name()));
      await eventually(() => expect(batches).toHaveLength(1));
      expect(batches[0]?.bodies).toEqual([1, 2]);
      expect((batches[0]?.at ?? 0) - began).toBeGreaterThan(300);
      // A full one does not wait; the last waits for others, which the stop ends.
      const options = { batch: true, maxRecords: 3, maxWait: 600_000 } as const;
      const patient = { ...from(kind, name('patient')), ...options } as const;
      await service.subscriber(patient, keep).started();
      await client.publishBatch([3, 4, 5, 6], to(kind, name('patient')));
      await eventually(() => expect(batches).toHaveLength(2));
      expect(batches[1]?.bodies).toEqual([3, 4, 5]);
      await service.stop();
      const [next, rest] = [broker(), [] as unknown[]];
      const left = { ...from(kind, name('patient')), batch: true } as const;
      next.subscriber(left, (bodies) => void rest.push(...bodies));
      await next.start();
      await eventually(() => {
        const all = [...batches.flatMap(({ bodies }) => bodies), ...rest];
        expect(new Set(all).size).toBe(6);
      });
    });

    it('with maxRecords items at most', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      const batches: unknown[][] = [];
      const address = { ...from(kind, name()), batch: true, maxRecords: 4 } as const;
      service.subscriber(address, (bodies: unknown[]) => void batches.push(bodies));
      const sent = Array.from({ length: 10 }, (_, i) => i);
      await client.publishBatch(sent, to(kind, name()));
      await service.start();
      await eventually(() => expect(batches.flat()).toEqual(sent));
      expect(batches.map((batch) => batch.length)).toEqual([4, 4, 2]);
    });

    it('each item by its own headers and content type', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      const seen: unknown[] = [];
      service.subscriber({ ...from(kind, name()), batch: true }, (bodies: unknown[], ctx) => {
        seen.push(
          bodies,
          ctx.messages.map(({ correlationId }) => correlationId),
        );
        seen.push(ctx.message.correlationId);
      });
      const target = to(kind, name());
      await client.publish('text', { ...target, correlationId: 'c-1' });
      await client.publish(Buffer.from([1, 0xff]), { ...target, correlationId: 'c-2' });
      await client.publish({ json: true }, { ...target, correlationId: 'c-3' });
      await service.start();
      await eventually(() => expect(seen).toHaveLength(3));
      expect(seen).toEqual([
        ['text', Buffer.from([1, 0xff]), { json: true }],
        ['c-1', 'c-2', 'c-3'],
        'c-1',
      ]);
    });

    it('without the items that do not fit the schema or cannot be decoded', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      const seen: unknown[] = [];
      service.subscriber({ ...from(kind, name()), batch: true, schema: Order }, (orders) => {
        seen.push(...orders);
      });
      const target = to(kind, name());
      await client.publish({ sku: 'A', quantity: 2 }, target);
      await client.publish({ quantity: 2 }, target);
      await client.publish('{broken', {
        ...target,
        headers: { 'content-type': 'application/json' },
      });
      await client.publish({ sku: 'B' }, target);
      await service.start();
      await eventually(() => expect(seen).toHaveLength(2));
      expect(seen).toEqual([
        { sku: 'A', quantity: 2 },
        { sku: 'B', quantity: 1 },
      ]);
      const logged: unknown[] = [];
      await eventually(() => {
        logged.push(...takeLogs().map(({ error }) => (error as { code: string }).code));
        expect(logged).toHaveLength(2);
        expect(new Set(logged)).toEqual(new Set(['DECODE', 'INVALID_MESSAGE']));
      });
    });

    it('and each requester gets its own item of the answer', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      const sizes: number[] = [];
      const address = { ...from(kind, name()), batch: true } as const;
      // Until all are there the service does not look, so that they come as one batch.
      service.subscriber(address, (bodies: number[]) => {
        sizes.push(bodies.length);
        return bodies.map((n) =>
          n === 2 ? new Response(n * 10, { headers: { x: 'two' } }) : n * 10,
        );
      });
      const answers = [1, 2, 3].map((n) =>
        client.request<number>(n, { ...to(kind, name()), timeout: 20_000 }),
      );
      await eventually(() => expect(client.stats.pendingCalls).toBe(3));
      await service.start();
      const [one, two, three] = await Promise.all(answers);
      expect([one?.body, two?.body, three?.body]).toEqual([10, 20, 30]);
      expect(two?.headers['x']).toBe('two');
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(3);
    });

    it('and a failing handler answers each requester with the error', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      service.subscriber({ ...from(kind, name()), batch: true }, () => {
        throw new RangeError('all of it');
      });
      const calls = [1, 2, 3].map((n) => client.publish(n, callTo(kind, name())));
      const settled = Promise.allSettled(calls);
      await service.start();
      for (const result of await settled) {
        expect(result).toMatchObject({
          status: 'rejected',
          reason: { remoteName: 'RangeError', message: 'all of it' },
        });
      }
      expect(takeLogs().length).toBeGreaterThanOrEqual(1);
    });

    it('and a bad item gets its error while its neighbours get their answers', async () => {
      const { broker, name } = bench();
      const [client, service] = [broker(), broker()];
      const address = { ...from(kind, name()), batch: true, schema: Order } as const;
      service.subscriber(address, (orders: z.output<typeof Order>[]) =>
        orders.map(({ sku }) => sku),
      );
      const calls = [{ sku: 'A' }, { quantity: 1 }, { sku: 'C' }].map((body) =>
        client.publish(body, callTo(kind, name())),
      );
      const settled = Promise.allSettled(calls);
      await service.start();
      expect(await settled).toMatchObject([
        { status: 'fulfilled', value: 'A' },
        { status: 'rejected', reason: { code: 'INVALID_MESSAGE', issues: [{ path: ['sku'] }] } },
        { status: 'fulfilled', value: 'C' },
      ]);
      expect(takeLogs().length).toBeGreaterThanOrEqual(1);
    });
  });
});
