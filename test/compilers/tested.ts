// The same as a test of a user's project, for Vitest.
import { RedisBroker, subscriber } from 'redstart';
import { expect, it } from 'vitest';

class Prices {
  @subscriber('prices')
  price(sku: string): string {
    return sku;
  }
}

it('a decorated class answers', async () => {
  const broker = new RedisBroker('memory://tested', { logger: false });
  broker.register(new Prices());
  await broker.start();
  expect(await broker.publish('A', { channel: 'prices', rpc: true, timeout: 5_000 })).toBe('A');
  await broker.stop();
});
