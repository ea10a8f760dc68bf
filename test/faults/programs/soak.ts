// One consumer of a soak: handles reliable lists and stream groups, and writes down in a file what it has handled.
// argv: connection (JSON), lists (JSON), streams (JSON), file
import { openSync, writeSync } from 'node:fs';
import {
  RedisBroker,
  type MessageContext,
  type RedisConnection,
  type BrokerOptions,
} from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { PATIENT } from '../../support/timings.ts';

const [connection = '', lists = '', streams = '', file = ''] = process.argv.slice(2);
// A write of one line to a file that is open for appending survives SIGKILL once it has returned.
const tally = openSync(file, 'a');

async function handle(body: { id: number; poison: boolean }, ctx: MessageContext): Promise<void> {
  if (Math.random() < 0.1) await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
  if (body.poison) {
    writeSync(tally, `poison ${body.id} ${Date.now()} ${ctx.message.deliveryCount}\n`);
    throw new Error('poison');
  }
  writeSync(tally, `handled ${body.id} ${Date.now()} ${ctx.message.deliveryCount}\n`);
}

async function main(): Promise<void> {
  const broker = new RedisBroker(
    JSON.parse(connection) as RedisConnection,
    { logger: false, [timingsOption]: PATIENT } as BrokerOptions,
  );
  const common = {
    concurrency: 8,
    retry: { maxDeliveries: 3, backoff: 50 },
  };
  for (const list of JSON.parse(lists) as string[]) {
    const deadLetter = { stream: `${list}:dead` };
    broker.subscriber({ list, reliable: true, deadLetter, ...common }, handle);
  }
  for (const stream of JSON.parse(streams) as string[]) {
    const deadLetter = { stream: `${stream}:dead` };
    const claim = { minIdle: 2_000 };
    broker.subscriber({ stream, group: 'workers', claim, deadLetter, ...common }, handle);
  }
  await broker.start();
  process.once('SIGTERM', () => {
    void broker.stop().then(() => process.disconnect());
  });
  process.send?.({ ready: true });
}

void main();
