// What integrations need of an observer, beyond what test/observe shows.
import type { Observer } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

onBothBackends('an observer', (bench) => {
  it('sees nothing while it is not enabled, and everything from then on', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    let isOn = false;
    class Sleeper implements Observer {
      get enabled(): boolean {
        return isOn;
      }
      handled({ message }: Parameters<NonNullable<Observer['handled']>>[0]): void {
        seen.push(message.body);
      }
    }
    const service = broker({ observers: [new Sleeper()] });
    service.subscriber(name(), (body) => body);
    await service.start();
    const ask = (body: number): Promise<unknown> =>
      service.publish(body, { channel: name(), rpc: true, timeout: 20_000 });
    await ask(1);
    isOn = true;
    await ask(2);
    isOn = false;
    await ask(3);
    expect(seen).toEqual([2]);
  });

  it('whose `enabled` throws sees everything and breaks nothing', async () => {
    const { broker, name } = bench();
    let handled = 0;
    const observer: Observer = {
      get enabled(): boolean {
        throw new Error('no');
      },
      handled: () => void handled++,
    };
    const service = broker({ observers: [observer] });
    service.subscriber(name(), (body) => body);
    await service.start();
    expect(await service.publish(1, { channel: name(), rpc: true, timeout: 20_000 })).toBe(1);
    expect(handled).toBe(1);
  });

  it('gets one `to` for the start and the end of each message, and no other message’s', async () => {
    const { broker, name } = bench();
    const started: object[] = [];
    const ended: object[] = [];
    const observer: Observer = {
      send: ({ to }, next) => {
        started.push(to);
        return next();
      },
      published: ({ to }) => void ended.push(to),
      called: ({ to }) => void ended.push(to),
    };
    const service = broker({ observers: [observer] });
    service.subscriber(name(), (body) => body);
    service.subscriber(name('many'), async function* many() {
      yield await Promise.resolve(1);
    });
    await service.start();
    const call = { channel: name(), rpc: true, timeout: 20_000 } as const;
    await Promise.all([service.publish(1, call), service.publish(2, call)]);
    const publisher = service.publisher({ list: name('l') });
    await Promise.all([publisher.publish(1), publisher.publish(2)]);
    await service.publishBatch([1, 2], { list: name('l') });
    for await (const item of service.requestMany(1, { channel: name('many') }))
      expect(item).toBe(1);
    await eventually(() => expect(ended).toHaveLength(started.length));
    expect(new Set(started).size).toBe(started.length);
    expect(new Set(ended)).toEqual(new Set(started));
    expect(ended.every((to) => started.includes(to))).toBe(true);
  });
});
