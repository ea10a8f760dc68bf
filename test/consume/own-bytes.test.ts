// Bytes that a handler gets are its own: what it changes, nobody else sees.
import type { RedisBroker } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const SENT = Buffer.from('\u0001abc');

onBothBackends('two handlers of one broker', (bench) => {
  const cases: [
    what: string,
    set: (broker: RedisBroker, name: string, handler: (body: Buffer) => void) => void,
  ][] = [
    [
      'one channel',
      (broker, name, handler) => {
        broker.subscriber(name, (body) => handler(body as Buffer));
        broker.subscriber(name, (body) => handler(body as Buffer));
        broker.subscriber(name, (_, ctx) => handler(ctx.message.raw.subarray(-SENT.length)));
      },
    ],
    [
      'a channel and its pattern',
      (broker, name, handler) => {
        broker.subscriber(name, (body) => handler(body as Buffer));
        broker.subscriber(`${name}*`, { pattern: true } as object, (body) =>
          handler(body as Buffer),
        );
        broker.subscriber({ channel: `${name}*`, pattern: true }, (body) =>
          handler(body as Buffer),
        );
      },
    ],
    [
      'two groups of a stream',
      (broker, name, handler) => {
        for (const group of ['a', 'b', 'c'])
          broker.subscriber({ stream: name, group }, (body) => handler(body as Buffer));
      },
    ],
    [
      'a stream without a group',
      (broker, name, handler) => {
        for (let i = 0; i < 3; i++)
          broker.subscriber({ stream: name, title: String(i) }, (body) => handler(body as Buffer));
      },
    ],
  ];

  it.each(cases)('of %s do not share bytes', async (what, set) => {
    const { broker, name } = bench();
    const service = broker();
    const seen: string[] = [];
    set(service, name(), (body) => {
      seen.push(body.toString());
      body.fill(0x78);
    });
    await service.start();
    const to = what.includes('stream') ? { stream: name() } : { channel: name() };
    await service.publish(SENT, to as { channel: string });
    await eventually(() => expect(seen).toHaveLength(3));
    expect(seen).toEqual(Array(3).fill(SENT.toString()));
  });
});

onBothBackends('a handler that changes bytes and fails', (bench) => {
  it.each(['stream', 'list'] as const)(
    'gets them as they were sent the next time (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const seen: string[] = [];
      const retry = { maxDeliveries: 3, backoff: 5 };
      const handler = (body: unknown): void => {
        seen.push((body as Buffer).toString());
        (body as Buffer).fill(0x78);
        if (seen.length < 3) throw new Error('again');
      };
      if (kind === 'stream') service.subscriber({ stream: name(), group: 'g', retry }, handler);
      else
        service.subscriber({ list: name(), reliable: true, ackPolicy: 'nack-on-error' }, handler);
      await service.start();
      await service.publish(
        SENT,
        (kind === 'stream' ? { stream: name() } : { list: name() }) as { list: string },
      );
      await eventually(() => expect(seen).toHaveLength(3));
      expect(seen).toEqual(Array(3).fill(SENT.toString()));
      // Acknowledged, although the bytes have changed: nothing is handled again after a restart.
      await service.stop();
      await service.start();
      await service.publish(
        'last',
        (kind === 'stream' ? { stream: name() } : { list: name() }) as never,
      );
      await eventually(() => expect(seen.at(-1)).toBe('last'));
      expect(seen).toHaveLength(4);
      takeLogs();
    },
  );
});
