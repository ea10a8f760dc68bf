import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { ownServer, rawClient } from '../support/redis.ts';
import { STRUCTURES, everywhere } from './echo.ts';

it(
  'Redis stopped for 3 s and continued: 200 calls in flight on each structure all end by value',
  { timeout: 60_000 },
  async () => {
    const server = await ownServer();
    const pid = server.pid;
    const service = newBroker(server.url, { logger: false });
    const caller = newBroker(server.url, { logger: false });
    let handled = 0;
    const places = everywhere(
      service,
      async (body) => {
        handled++;
        // Some answers come due before, some during and some after the stop.
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 4_000));
        return body;
      },
      200,
    );
    await service.start();
    await caller.connect();
    const calls = STRUCTURES.flatMap((structure) =>
      Array.from({ length: 200 }, (_, n) =>
        caller.publish(n, { ...places[structure], rpc: true, timeout: 20_000 }),
      ),
    );
    const all = Promise.all(calls);
    await eventually(() => handled >= 300);
    process.kill(pid, 'SIGSTOP');
    try {
      // Requests made while Redis hangs are in flight, too.
      const meanwhile = STRUCTURES.map((structure) =>
        caller.publish('meanwhile', { ...places[structure], rpc: true, timeout: 20_000 }),
      );
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      process.kill(pid, 'SIGCONT');
      expect(await Promise.all(meanwhile)).toEqual(STRUCTURES.map(() => 'meanwhile'));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    expect(await all).toEqual([...numbers, ...numbers, ...numbers]);
    expect(caller.stats.pendingCalls).toBe(0);
    const raw = rawClient(server.url);
    await eventually(async () => {
      const left = await raw.keys('*');
      return left.every((key) => key.endsWith(':s')); // the stream itself
    });
  },
);
