// Every log line of redstart about a message says which message it is about.
import { publisher, subscriber, type Logger } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { newBroker } from '../support/broker.ts';
import { ownServer, rawClient } from '../support/redis.ts';

type Line = Readonly<Record<string, unknown>>;

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const headers = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
const ids = { correlationId: 'order-7', traceId: TRACE };

/** A logger that keeps all lines with their fields. */
function keeper(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = [];
  const keep = (fields: object | string, message?: string): void =>
    void lines.push(typeof fields === 'string' ? { text: fields } : { ...fields, text: message });
  return { lines, logger: { debug: keep, info: keep, warn: keep, error: keep } };
}

function fail(): never {
  throw new Error('no');
}

onBothBackends('log lines about a message have its ids', (bench) => {
  it.each([
    ['a handler that fails', {}, fail, 'the handler failed'],
    ['a body that does not fit', { schema: z.number() }, fail, 'does not fit the schema'],
    [
      'retries',
      { reliable: true, retry: { maxDeliveries: 2, backoff: 1 } },
      fail,
      'delivery 1 of 2',
    ],
    [
      'dead letters',
      { reliable: true, retry: false } as const,
      fail,
      'the message is in its dead letters',
    ],
    ['a time-out', { timeout: 10 }, () => new Promise(() => undefined), 'took too long'],
    ['a result that cannot be sent', {}, () => 1n, 'the handler failed'],
  ])('%s', async (_, options, handler, text) => {
    const { broker, name } = bench();
    const { logger, lines } = keeper();
    const service = broker({ logger, gracefulTimeout: 10 });
    service.subscriber({ list: name(), ...options }, handler);
    await service.start();
    const more = text === 'the handler failed' ? { replyTo: name('answers') } : {};
    await service.publish('x', { list: name(), headers, correlationId: 'order-7', ...more });
    const line = await eventually(() => {
      const found = lines.find((one) => String(one['text']).includes(text));
      expect(found).toBeDefined();
      return found;
    });
    expect(line).toMatchObject(ids);
    const failures = lines.filter((one) => 'err' in one);
    expect(failures).toEqual(failures.map(() => expect.objectContaining(ids) as Line));
  });

  it('results that are sent on, messages that are taken by hand, answers that go nowhere', async () => {
    const { broker, name } = bench();
    const { logger, lines } = keeper();
    const service = broker({ logger, replies: 'inboxes' });
    class Orders {
      @publisher({ list: 'out' })
      @subscriber({ list: name() })
      place() {
        return { toJSON: fail };
      }
    }
    service.register(new Orders());
    service.subscriber({ list: name('nowhere') }, () => 'answer');
    await service.start();
    const about = { headers, correlationId: 'order-7' };
    await service.publish('x', { list: name(), ...about });
    await service.publish('x', { list: name('nowhere'), replyTo: 'somewhere', ...about });
    const consumer = await service.subscribe({ list: name('hand'), schema: z.number() });
    const next = consumer.next({ timeout: 20_000 });
    await service.publish('x', { list: name('hand'), ...about });
    await service.publish(1, { list: name('hand') });
    expect((await next)?.body).toBe(1);
    const wanted = ['could not be published', 'answers are not sent', 'is skipped'];
    await eventually(() => {
      for (const text of wanted)
        expect(lines.find((one) => String(one['text']).includes(text))).toMatchObject(ids);
    });
  });

  it('ctx.logger, too', async () => {
    const { broker, name } = bench();
    const { logger, lines } = keeper();
    const service = broker({ logger });
    service.subscriber({ list: name(), title: 'orders' }, (_, ctx) => ctx.logger.info('placing'));
    await service.start();
    await service.publish(1, { list: name(), headers, correlationId: 'order-7' });
    await service.publish(1, { list: name(), correlationId: 'plain' });
    // On a busy machine the broker may have something to say, too.
    const said = (): Line[] => lines.filter(({ text }) => text === 'placing');
    await eventually(() => expect(said()).toHaveLength(2));
    expect(said()[0]).toMatchObject({ ...ids, handler: 'orders' });
    expect(said()[1]).not.toHaveProperty('traceId');
  });
});

it('log lines about a message that the server cannot keep for later have its ids', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  await client.acl('SETUSER', 'u', 'on', '>p', '~*', '&*', '+@all');
  const { logger, lines } = keeper();
  const service = newBroker(server.url.replace('//', '//u:p@'), { logger });
  const retry = { maxDeliveries: 2, backoff: 600_000 };
  service.subscriber({ list: 'l', reliable: true, retry }, async () => {
    await client.acl('SETUSER', 'u', '-evalsha', '-eval');
    fail();
  });
  await service.start();
  await service.publish('x', { list: 'l', headers, correlationId: 'order-7' });
  await eventually(() =>
    expect(lines.find(({ text }) => String(text).includes('cannot be kept yet'))).toMatchObject(
      ids,
    ),
  );
  await client.acl('SETUSER', 'u', '+@all');
  await service.stop();
});
