// The same decorators in the standard's dialect: compile this file without `experimentalDecorators`.
import { RedisBroker, publisher, subscriber, type MessageContext } from 'redstart';
import { z } from 'zod';

const Reading = z.object({ celsius: z.number() });

class Thermometers {
  @subscriber({ channel: 'rooms.{room}', schema: Reading })
  @publisher('alarms')
  check({ celsius }: z.infer<typeof Reading>, ctx: MessageContext): string | undefined {
    // `undefined` publishes nothing.
    return celsius > 30 ? `${ctx.path.room}: ${celsius} °C` : undefined;
  }

  @subscriber('count')
  count(items: unknown[]): number {
    return items.length;
  }
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-06:' });
broker.register(new Thermometers());
await broker.start();

const alarms = await broker.subscribe<never>('alarms');
await broker.publish({ celsius: 21 }, { channel: 'rooms.kitchen' });
await broker.publish({ celsius: 35 }, { channel: 'rooms.attic' });
const alarm = await alarms.next({ timeout: 3_000 });
console.log(`alarm: ${alarm?.body}`);

const count = await broker.publish(['a', 'b'], { channel: 'count', rpc: true, timeout: 3_000 });
console.log(`count: ${count}`);
