import { expect, it } from 'vitest';
import { Subscription } from '../../src/consume/subscription.ts';
import type { Delivery, Source } from '../../src/transport/source.ts';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

/** A source that has these deliveries and then nothing. */
function sourceOf(names: readonly string[]): Source {
  let left = names.map((name): Delivery => ({ frame: Buffer.of(), name, id: undefined, count: 1 }));
  return {
    canReturn: false,
    needsAck: true,
    problem: undefined,
    backlog: undefined,
    held: 0,
    giveBack: async () => {},
    read: async (max) => {
      const some = left.slice(0, max);
      left = left.slice(max);
      return some;
    },
    stop: async () => {},
    close: async () => {},
    ack: () => undefined,
    nack: () => {},
    abandon: () => {},
  };
}

it.each([1, 2])(
  'what throws or rejects while it is handled is rescued, and keeps no place of %d',
  async (concurrency) => {
    const names = ['throws', 'fine', 'rejects', 'fine', 'rejects', 'throws', 'fine'];
    const handled: string[] = [];
    const rescued: string[] = [];
    const subscription = new Subscription({
      source: sourceOf(names),
      concurrency,
      batch: 1,
      fetch: 1,
      isShared: false,
      lanes: undefined,
      process: ([delivery]) => {
        const { name } = delivery as Delivery;
        if (name === 'throws') throw new Error(name);
        if (name === 'rejects') return Promise.reject(new Error(name));
        handled.push(name);
        return undefined;
      },
      rescue: ([delivery], error) => rescued.push(`${delivery?.name} ${(error as Error).message}`),
      adviceOn: () => undefined,
      report: () => undefined,
    });
    subscription.start();
    await eventually(() => expect(subscription.vitals.handled).toBe(names.length));
    expect(subscription.vitals.running).toBe(0);
    expect(handled).toEqual(['fine', 'fine', 'fine']);
    expect(rescued.sort()).toEqual([
      'rejects rejects',
      'rejects rejects',
      'throws throws',
      'throws throws',
    ]);
  },
);

function log(): void {
  throw new Error('the disk is full');
}

onBothBackends('a logger that throws', (bench) => {
  it('ends neither a subscriber nor a call', async () => {
    const { url, name } = bench();
    const service = newBroker(url, { logger: { debug: log, info: log, warn: log, error: log } });
    service.subscriber({ list: name() }, (body: unknown) => {
      if (body === 'bad') throw new RangeError('on purpose');
      return body;
    });
    await service.start();
    const call = (body: string): Promise<unknown> =>
      service.publish(body, { list: name(), rpc: true, timeout: 20_000 });
    await expect(call('bad')).rejects.toMatchObject({ remoteName: 'RangeError' });
    expect(await call('good')).toBe('good');
  });
});
