// A stream group: each entry goes to one consumer, and comes again until it is acknowledged.
import { RedisBroker, subscriber, type MessageContext } from 'redstart';

class Warehouse {
  @subscriber({ stream: 'shipments', group: 'warehouse', ackPolicy: 'nack-on-error' })
  ship(sku: string, ctx: MessageContext): string {
    const { deliveryCount } = ctx.message;
    if (sku === 'B-2' && deliveryCount === 1) {
      console.log(`${sku}: delivery 1 fails, the entry stays pending`);
      throw new Error('out of labels');
    }
    console.log(`${sku}: shipped at delivery ${deliveryCount}`);
    return sku;
  }
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-05:', logger: false });
broker.register(new Warehouse());
await broker.start();

const shipped = await broker.subscribe({ list: 'shipped' });
for (const sku of ['A-1', 'B-2', 'C-3']) {
  await broker.publish(sku, { stream: 'shipments', maxlen: 1_000, replyTo: { list: 'shipped' } });
}
for (let left = 3; left > 0; left--) await shipped.next({ timeout: 5_000 });

// A consumer that goes away without acknowledging finds its entry again under the same name.
const auditor = { stream: 'audit', group: 'audit', consumer: 'auditor-1' };
const before = await broker.subscribe(auditor);
await broker.publish('till 4 opened', { stream: 'audit', maxlen: 1_000 });
await before.next({ timeout: 5_000 });
await before.close();

const after = await broker.subscribe(auditor);
const entry = await after.next({ timeout: 5_000 });
console.log(`${entry?.body}: delivery ${entry?.deliveryCount}`);
await entry?.ack();
