// One ordered subscriber: writes down when each message begins and ends, and is stopped, killed or left alone.
// argv: url, address (JSON), the key of the record, the divisor of waiting times
import { Redis } from 'ioredis';
import { RedisBroker, Reject, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { missedSooner } from '../../support/timings.ts';

const [url = '', address = '', record = '', divisor = '1'] = process.argv.slice(2);
const say = (what: object): void => void process.send?.(what);

/** The same messages fail each time: one in five, some of them for good. */
const failures = (key: string, n: number): number => {
  const number = (Number(key) * 31 + n * 17) % 100;
  if (number < 16) return 1 + (number % 3);
  return number < 20 ? Infinity : 0;
};

async function main(): Promise<void> {
  const redis = new Redis(url);
  const options = { logger: false, pause: { after: 8, for: 30 } } as const;
  const broker = new RedisBroker(url, {
    ...options,
    [timingsOption]: missedSooner(Number(divisor)),
  } as BrokerOptions);
  const where = JSON.parse(address) as { stream: string; group: string };
  broker.subscriber(
    { ...where, ordered: true, retry: { maxDeliveries: 1_000, backoff: 20 } },
    async ({ key, n }: { key: string; n: number }, { message }) => {
      const write = (what: string): Promise<number> =>
        redis.rpush(record, `${what} ${key} ${n} ${process.pid}`);
      await write('begin');
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (message.deliveryCount <= failures(key, n)) {
        const isFinal = failures(key, n) === Infinity && message.deliveryCount >= 3;
        await write(isFinal ? 'end' : 'fail');
        throw isFinal ? new Reject('never') : new Error('not yet');
      }
      await write('end');
    },
  );
  await broker.start();
  process.once('SIGTERM', () => {
    void broker.stop().then(async () => {
      await redis.quit();
      process.disconnect();
    });
  });
  say({ ready: true });
}

void main();
