// The same as a test of a user's project, for Vitest: with a test broker, which `await using` disposes of.
import { RedisBroker, subscriber } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';

class Prices {
  @subscriber('prices')
  price(sku: string): string {
    return sku;
  }
}

it('a decorated class answers', async () => {
  const broker = new RedisBroker('redis://localhost:6379', { logger: false });
  broker.register(new Prices());
  await using test = await testBroker(broker);
  expect(await broker.publish('A', { channel: 'prices', rpc: true, timeout: 5_000 })).toBe('A');
  expect(test.handled(Prices, 'price')).toHaveLength(1);
});
