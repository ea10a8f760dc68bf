import type { DeadLetterAddress, RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient } from '../support/redis.ts';

onBothBackends('dead letters', (bench) => {
  describe.each(['stream', 'list'] as const)('in a %s', (kind) => {
    /** A group that fails until `heal` is called, with `count` dead letters in the box. */
    async function withDead(count: number) {
      const { broker: newBroker, name, backend } = bench();
      const broker: RedisBroker = newBroker();
      const stream = name('orders');
      const address = { [kind]: name('dead') } as unknown as DeadLetterAddress;
      const handled: unknown[] = [];
      let isBroken = true;
      broker.subscriber(
        { stream, group: 'g', retry: false, deadLetter: address },
        (body: unknown, ctx) => {
          if (isBroken) throw new Error('broken');
          handled.push({ body, tenant: ctx.message.headers['tenant'] });
        },
      );
      await broker.start();
      for (let n = 1; n <= count; n++)
        await broker.publish(n, { stream, headers: { tenant: `t${n}` } });
      const box = broker.deadLetters(address);
      await eventually(async () => expect(await box.count()).toBe(count));
      takeLogs();
      const heal = (): void => void (isBroken = false);
      return { broker, box, stream, handled, heal, address, backend };
    }

    it('are listed oldest first, page by page', async () => {
      const { box } = await withDead(5);
      const first = await box.list({ count: 2 });
      expect(first.map(({ body }) => body)).toEqual([1, 2]);
      const after = first.at(-1)?.id as string;
      const rest = await box.list({ after });
      expect(rest.map(({ body }) => body)).toEqual([3, 4, 5]);
    });

    it('are sent back to where they came from, as they came, and removed', async () => {
      const { box, handled, heal } = await withDead(3);
      heal();
      expect(await box.redrive()).toBe(3);
      await eventually(() => expect(handled).toHaveLength(3));
      expect(handled).toEqual([1, 2, 3].map((n) => ({ body: n, tenant: `t${n}` })));
      expect(await box.count()).toBe(0);
    });

    it('are redriven and removed one by one', async () => {
      const { box, handled, heal } = await withDead(3);
      heal();
      const [first, second] = (await box.list()).map(({ id }) => id) as [string, string];
      expect(await box.redrive({ ids: [second] })).toBe(1);
      await eventually(() => expect(handled).toHaveLength(1));
      expect(await box.remove({ ids: [first, '999999999999999-0'] })).toBe(1);
      expect((await box.list()).map(({ body }) => body)).toEqual([3]);
    });

    it('that die again are not redriven for ever', async () => {
      const { box } = await withDead(3);
      expect(await box.redrive()).toBe(3);
      await eventually(async () => expect(await box.count()).toBe(3));
      takeLogs();
    });

    it('more than a page of them are all redriven, what is no dead letter is left', async () => {
      const { broker, box, handled, heal, address } = await withDead(230);
      await broker.publish('not ours', address as { list: string });
      heal();
      expect(await box.redrive()).toBe(230);
      await eventually(() => expect(handled).toHaveLength(230));
      expect((await box.list()).map(({ body }) => body)).toEqual(['not ours']);
    });

    it('keep raw bytes and foreign fields as they came', async () => {
      const { stream, box, backend } = await withDead(0);
      if (backend === 'memory') return; // nobody else writes there
      const client = rawClient();
      await client.xadd(stream, '*', '__data__', 'raw text');
      await client.xadd(stream, '*', 'name', 'Ada', 'bytes', Buffer.from([0xff, 0x00]));
      await eventually(async () => expect(await box.count()).toBe(2));
      expect(await box.redrive()).toBe(2);
      await eventually(async () => expect(await box.count()).toBe(2));
      const entries = await client.xrangeBuffer(stream, '-', '+');
      const fields = entries.map(([, all]) => all);
      expect(fields[2]).toEqual(fields[0]);
      expect(fields[3]).toEqual(fields[1]);
      takeLogs();
    });
  });
});
