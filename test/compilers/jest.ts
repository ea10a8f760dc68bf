// The same for jest, which has no imports of its own here: its globals are there.
import { RedisBroker, subscriber } from 'redstart';

declare const it: (name: string, run: () => Promise<void>) => void;
declare const expect: (value: unknown) => { toBe(expected: unknown): void };

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
