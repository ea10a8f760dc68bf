// A schema checks each message before the method runs, and types the method's parameter.
import { InvalidMessageError, RedisBroker, subscriber } from 'redstart';
import { z } from 'zod';

const Order = z.object({ sku: z.string(), quantity: z.number().int().positive() });
const Accepted = z.object({ sku: z.string(), total: z.number() });

class Orders {
  @subscriber({ list: 'orders', schema: Order, reply: Accepted })
  place({ sku, quantity }: z.infer<typeof Order>): z.infer<typeof Accepted> {
    return { sku, total: quantity * 1999 };
  }
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
// The service logs what it refuses, on stderr unless told otherwise; this example keeps quiet.
await using broker = new RedisBroker(url, { prefix: 'example-03:', logger: false });
broker.register(new Orders());
await broker.start();

// `reply` on a call checks the answer and types it: `accepted.total` is a number.
const order = { sku: 'A-1', quantity: 2 };
const accepted = await broker.publish(order, { list: 'orders', rpc: true, reply: Accepted });
console.log(`accepted: ${accepted.sku} for ${accepted.total} cents`);

try {
  await broker.publish({ sku: 'A-1', quantity: -2 }, { list: 'orders', rpc: true });
} catch (error) {
  if (!(error instanceof InvalidMessageError)) throw error;
  for (const { path, message } of error.issues)
    console.log(`refused: ${path.join('.')}: ${message}`);
}
