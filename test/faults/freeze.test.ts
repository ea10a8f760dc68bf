import type { BrokerOptions } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { ownServer, rawClient } from '../support/redis.ts';
import { TIMINGS, timingsOption } from '../../src/transport/timings.ts';
import { PATIENT } from '../support/timings.ts';
import { STRUCTURES, everywhere } from './echo.ts';

/** How long Redis is stopped. */
const STOPPED = 3_000;

/**
 * A connection is given up after 3.15 s without an answer. A busy machine lets Redis go on later than this test says, and may
 * answer later still: with the time that this may take, what is measured is a stop that is shorter than the patience.
 */
const timings = {
  ...PATIENT,
  pong: TIMINGS.pong + 10_000,
  blockGrace: TIMINGS.blockGrace + 10_000,
};

it(
  'Redis stopped for 3 s and continued: 200 calls in flight on each structure all end by value',
  { timeout: 120_000 },
  async () => {
    const server = await ownServer();
    const pid = server.pid;
    expect(TIMINGS.pong).toBeGreaterThan(STOPPED);
    const options = { logger: false, [timingsOption]: timings } as BrokerOptions;
    const service = newBroker(server.url, options);
    const caller = newBroker(server.url, options);
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
        caller.publish(n, { ...places[structure], rpc: true, timeout: 50_000 }),
      ),
    );
    const all = Promise.all(calls);
    await eventually(() => handled >= 300);
    process.kill(pid, 'SIGSTOP');
    try {
      // Requests made while Redis hangs are in flight, too.
      const meanwhile = STRUCTURES.map((structure) =>
        caller.publish('meanwhile', { ...places[structure], rpc: true, timeout: 50_000 }),
      );
      await new Promise((resolve) => setTimeout(resolve, STOPPED));
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
