// What every compiler of the matrix makes a program of: a decorated class that answers a call.
import { RedisBroker, subscriber } from 'redstart';

class Prices {
  @subscriber({ list: 'prices' })
  price(sku: string): { sku: string; cents: number } {
    return { sku, cents: 1999 };
  }

  @subscriber({ list: 'titled' }, { title: 'Prices.titled' })
  titled(n: number): number {
    return n + 1;
  }
}

async function main(): Promise<void> {
  const broker = new RedisBroker('memory://compiled', { logger: false });
  broker.register(new Prices());
  await broker.start();
  const call = { rpc: true, timeout: 5_000 } as const;
  const price = await broker.publish('A-1', { list: 'prices', ...call });
  const titled = await broker.publish(1, { list: 'titled', ...call });
  const titles = broker.describe().subscribers.map(({ title }) => title);
  process.stdout.write(`${JSON.stringify([price, titled, ...titles])}\n`);
  await broker.stop();
}

void main();
