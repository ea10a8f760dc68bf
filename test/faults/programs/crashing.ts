// One ordered subscriber: writes down what begins, and dies of a message that says so, when it holds so many.
// argv: url, address (JSON), the key of the record, the divisor of waiting times
import { Redis } from 'ioredis';
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { missedSooner } from '../../support/timings.ts';

const [url = '', address = '', record = '', divisor = '1'] = process.argv.slice(2);

async function main(): Promise<void> {
  const redis = new Redis(url);
  const broker = new RedisBroker(url, {
    logger: false,
    [timingsOption]: missedSooner(Number(divisor)),
  } as BrokerOptions);
  const where = JSON.parse(address) as { stream: string; group: string };
  broker.subscriber(
    { ...where, ordered: true, retry: { maxDeliveries: 2 } },
    async ({ name, diesWith }: { name: string; diesWith?: number }, { message }) => {
      await redis.rpush(record, `${name}: delivery ${message.deliveryCount}`);
      while (diesWith !== undefined) {
        const [state] = (await broker.health()).subscribers;
        if (state?.held === diesWith) process.kill(process.pid, 'SIGKILL');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  );
  await broker.start();
}

void main();
