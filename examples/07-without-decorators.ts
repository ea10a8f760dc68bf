// Functions in the place of classes: all that a decorator says can be said without one.
import { RedisBroker, RedisRouter } from 'redstart';
import { z } from 'zod';

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-07:' });

broker.subscriber('upper', (text: string) => text.toUpperCase());

broker.subscriber({ channel: 'logs.{level}' }, { schema: z.string() }, (line, ctx) => {
  return `${ctx.path.level}: ${line}`;
});

// A router keeps handlers that belong together, under a prefix and with defaults of their own.
const sums = new RedisRouter({ prefix: 'sums:', concurrency: 4 });
sums.subscriber({ list: 'add', schema: z.array(z.number()) }, (terms) =>
  terms.reduce((sum, term) => sum + term, 0),
);
broker.include(sums);

await broker.start();

const loud = await broker.publish('quiet', { channel: 'upper', rpc: true, timeout: 3_000 });
console.log(`upper: ${loud}`);

const logged = await broker.publish('disk full', {
  channel: 'logs.warn',
  rpc: true,
  timeout: 3_000,
});
console.log(`logs: ${logged}`);

const sum = await broker.publish([1, 2, 3], { list: 'sums:add', rpc: true, timeout: 3_000 });
console.log(`sum: ${sum}`);
