// Valid programs whose options are not written out: in variables, merged with defaults, of generic types. They compile.
import {
  RedisBroker,
  RedisRouter,
  event,
  subscriber,
  type BrokerOptions,
  type EventOptions,
  type EveryOptions,
  type PublishOptions,
  type PublisherOptions,
  type RouterOptions,
  type Schema,
  type SubscriberOptions,
} from 'redstart';
import { z } from 'zod';

const broker = new RedisBroker('memory://types');
const sent = event({ list: 'a' }, { schema: z.object({ a: z.number() }) });

interface OwnOptions extends BrokerOptions {
  tenant: string;
}

interface OwnRouterOptions extends RouterOptions {
  tenant: string;
}

interface OwnEventOptions extends EventOptions {
  tenant: string;
}

/** Defaults of brokers. */
export function brokers(
  { tenant, ...own }: OwnOptions,
  options: BrokerOptions,
  settings: { retry?: { maxDeliveries: number } | false; ackPolicy?: 'ack' | 'nack-on-error' },
): RedisBroker[] {
  const { retry, ...rest } = options;
  return [
    new RedisBroker('memory://types', { ...own, prefix: tenant }),
    new RedisBroker('memory://types', { retry: false, ...options }),
    new RedisBroker('memory://types', { ...options, retry: false }),
    new RedisBroker('memory://types', { ...options, ackPolicy: options.ackPolicy ?? 'ack' }),
    new RedisBroker('memory://types', { ...rest, ...(retry ? { retry } : {}) }),
    new RedisBroker('memory://types', { ...settings }),
    new RedisBroker('memory://types', { retry: settings.retry, ackPolicy: settings.ackPolicy }),
  ];
}

export function routers({ tenant, ...own }: OwnRouterOptions): void {
  broker.include(new RedisRouter({ ...own, prefix: tenant }));
}

/** Options of messages. */
export async function messages(
  { tenant, ...own }: OwnEventOptions,
  options: PublishOptions,
  every: EveryOptions,
): Promise<void> {
  const later: EventOptions = { ...own, delay: 3 };
  await broker.publish({ a: 1 }, sent, { ...later, key: tenant });
  await broker.publishBatch([{ a: 1 }], sent, { id: (body) => String(body.a), idWindow: 3 });
  const publisher = broker.publisher(sent);
  await publisher.publishBatch([{ a: 1 }], { id: (body) => String(body.a), idWindow: 3 });
  await publisher.publish({ a: 1 }, options);
  await broker.publisher({ list: 'a' }).publish(1, { ...options, key: tenant });
  broker.every(60_000, every);
  broker.every(60_000, { ...every, id: 'other' });
}

/** Options of publishers and of handlers. */
export function handlers<Sc extends Schema>(
  schema: Sc,
  own: PublisherOptions,
  options: SubscriberOptions,
): Sc {
  broker.publisher({ list: 'a' }, own);
  broker.subscriber({ list: 'a' }, options, () => undefined);
  subscriber('a', { schema });
  subscriber({ list: 'a' }, { schema, title: 'a' });
  return schema;
}
