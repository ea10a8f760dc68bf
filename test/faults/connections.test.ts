import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { ownServer, rawClient } from '../support/redis.ts';

const CALLS = 10_000;

it(
  '10 000 calls in flight at once use two connections, and all end by value',
  { timeout: 180_000 },
  async () => {
    const server = await ownServer();
    const raw = rawClient(server.url);
    const service = newBroker(server.url);
    const caller = newBroker(server.url);
    let answer: (() => void) | undefined;
    const all = new Promise<void>((resolve) => void (answer = resolve));
    let waiting = 0;
    service.subscriber({ channel: 'hold', concurrency: CALLS }, async (body) => {
      waiting++;
      await all;
      return body;
    });
    await service.start();
    const connections = async (): Promise<number> =>
      String(await raw.client('LIST'))
        .trim()
        .split('\n').length;
    // What the service opens for its own part is open after its first answer.
    service.subscriber('ready', (body) => body);
    await eventually(async () =>
      expect(await service.publish(1, { channel: 'ready', rpc: true })).toBe(1),
    );
    const others = await connections();

    const calls = Promise.all(
      Array.from({ length: CALLS }, (_, n) =>
        caller.publish(n, { channel: 'hold', rpc: true, timeout: 90_000 }),
      ),
    );
    await eventually(() => waiting === CALLS, 80_000);
    expect(caller.stats.pendingCalls).toBe(CALLS);
    expect((await connections()) - others).toBe(2);
    answer?.();
    expect(await calls).toEqual(Array.from({ length: CALLS }, (_, n) => n));
    expect(caller.stats.pendingCalls).toBe(0);
  },
);
