// Test brokers on a real Redis: what was handled and sent is recorded as it is in memory.
import { SetupError, publisher, subscriber } from 'redstart';
import { testBrokerOnRedis } from 'redstart/testing';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

describe('testBrokerOnRedis', () => {
  it('starts brokers on their own Redis, records what they handle and send, and leaves them as they were', async () => {
    const prefix = `${unique()}:`;
    class Orders {
      @publisher({ list: 'placed' })
      @subscriber('orders')
      place(sku: string): { sku: string } {
        if (sku === 'none') throw new RangeError('sold out');
        return { sku };
      }
    }
    const broker = newBroker(redisUrl(), { prefix, logger: false });
    broker.register(new Orders());
    {
      await using test = await testBrokerOnRedis(broker);
      const call = { channel: 'orders', rpc: true, timeout: 10_000 } as const;
      expect(await broker.publish('A', call)).toEqual({ sku: 'A' });
      await expect(broker.publish('none', call)).rejects.toMatchObject({ code: 'REMOTE' });
      const [first, second] = test.handled(Orders, 'place');
      expect(first).toMatchObject({ body: 'A', result: { sku: 'A' }, error: undefined });
      expect(second?.error).toBeInstanceOf(RangeError);
      expect(test.published({ list: 'placed' }).map(({ body }) => body)).toEqual([{ sku: 'A' }]);
      // It is a real list.
      expect(await rawClient().llen(`${prefix}placed`)).toBe(1);
      // What was not sent, since a message with its id was, is not there.
      const once = { list: 'placed', id: 'a' } as const;
      for (let i = 0; i < 2; i++) await broker.publish('once', once);
      await broker.pipeline({ transaction: true }).publish('once', once).send();
      for (let i = 0; i < 2; i++)
        await broker.publish('later', { ...once, id: 'b', delay: 60_000 });
      expect(test.published({ list: 'placed' }).slice(1)).toMatchObject([
        { body: 'once' },
        { body: 'later', delay: 60_000 },
      ]);
      expect(await broker.cancel({ list: 'placed' }, 'b')).toBe(true);
      test.dropNextReply();
      const lost = broker.publish('B', { ...call, timeout: 100 });
      await expect(lost).rejects.toMatchObject({ code: 'RPC_TIMEOUT' });
    }
    await rawClient().del(`${prefix}placed`);
    await broker.start();
    await expect(testBrokerOnRedis(broker)).rejects.toThrow(/is connected already/);
    await expect(testBrokerOnRedis()).rejects.toThrow(SetupError);
  });
});
