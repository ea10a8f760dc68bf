// One subscriber with a rate: writes down when each message begins, on the server's clock.
// argv: url, address (JSON), the key of the record
import { Redis } from 'ioredis';
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { PATIENT } from '../../support/timings.ts';

const [url = '', address = '', record = ''] = process.argv.slice(2);
const NOTE = `local time = redis.call('TIME')
return redis.call('RPUSH', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000))`;

async function main(): Promise<void> {
  const redis = new Redis(url);
  const broker = new RedisBroker(url, { logger: false, [timingsOption]: PATIENT } as BrokerOptions);
  const where = JSON.parse(address) as { stream: string; group: string };
  broker.subscriber({ ...where, concurrency: 50 }, async () => {
    await redis.eval(NOTE, 1, record);
  });
  await broker.start();
  process.send?.({ ready: true });
}

void main();
