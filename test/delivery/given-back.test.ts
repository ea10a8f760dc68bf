// What a process has fetched and not begun, while the server refuses to take it back, and when it stops.
import { describe, expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient } from '../support/redis.ts';

const PLACES = [
  ['a list', { list: 'x' }, '-lpush'],
  ['a reliable list', { list: 'x', reliable: true }, '-lpush'],
  ['a group', { stream: 'x', group: 'g' }, '-xclaim'],
] as const;

describe.each(PLACES)('%s', (_, from, right) => {
  const to = ('stream' in from ? { stream: 'x' } : { list: 'x' }) as { list: string };

  it('that the server refuses to take back is handled here', async () => {
    const server = await ownServer();
    await rawClient(server.url).acl('SETUSER', 'u', 'on', '>p', '~*', '&*', '+@all', right);
    const service = newBroker(server.url.replace('//', '//u:p@'));
    const seen: unknown[] = [];
    const messages: string[] = [];
    const address = { ...from, maxRecords: 10 } as object as { list: string };
    service.subscriber(address, async (body) => {
      seen.push(body);
      if (seen.length > 1) return;
      // As long as it runs, the others wait.
      await eventually(() => {
        messages.push(...takeLogs().map(({ message }) => message));
        expect(messages.join()).toContain('could not be given back, they stay here');
      });
    });
    const sender = newBroker(server.url);
    await sender.publishBatch([1, 2, 3, 4], to);
    await service.start();
    await eventually(() => expect(seen).toEqual([1, 2, 3, 4]));
    await service.stop();
    takeLogs();
    expect(messages.join()).toContain('could not be given back, they stay here');
  });
});

onBothBackends('at a stop', (bench) => {
  it.each(PLACES)('%s gets back at once what was not begun', async (_, at) => {
    const { broker, name } = bench();
    const isStream = 'stream' in at;
    const from = { ...at, [isStream ? 'stream' : 'list']: name(), maxRecords: 10 };
    const to = { [isStream ? 'stream' : 'list']: name() } as { list: string };
    // While its handler runs, which the stop waits for.
    const [service, other] = [broker({ gracefulTimeout: 60_000 }), broker()];
    let end: (() => void) | undefined;
    service.subscriber(from as object as { list: string }, async () => {
      await new Promise<void>((resolve) => void (end = resolve));
    });
    await other.publishBatch([1, 2, 3], to);
    await service.start();
    await eventually(() => expect(end).toBeDefined());
    const stopping = service.stop();
    const seen: unknown[] = [];
    other.subscriber(from as object as { list: string }, (body) => void seen.push(body));
    await other.start();
    await eventually(() => expect(seen).toEqual([2, 3]));
    end?.();
    await stopping;
    await other.stop();
    takeLogs();
  });
});

onBothBackends('a paused subscriber', (bench) => {
  it.each(['channel', 'list'] as const)('is no problem (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    const one = service.subscriber({ [kind]: name() } as { list: string }, () => 1);
    await service.start();
    await one.pause();
    const { subscribers, ...health } = await service.health();
    expect(subscribers[0]).toMatchObject({ state: 'paused', running: 0 });
    expect(health).toMatchObject({ ready: true, status: 'green', problems: [] });
    await one.resume();
    expect((await service.health()).subscribers[0]).toMatchObject({ state: 'running' });
  });
});
