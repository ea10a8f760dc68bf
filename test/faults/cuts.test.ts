import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { ownServer } from '../support/redis.ts';
import { MAY_END, STRUCTURES, callMany, everywhere } from './echo.ts';

const TOTAL = 5_000;

it.each(STRUCTURES)(
  'a caller whose connections are cut every 50 ms gets every answer over a %s: rule 7',
  { timeout: 60_000 },
  async (structure) => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const service = newBroker(server.url, { logger: false });
    const caller = newBroker(proxy.url, { logger: false });
    const places = everywhere(service, async (body) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
      return body;
    });
    await service.start();
    await caller.connect();
    let cuts = 0;
    const cutting = setInterval(() => {
      cuts++;
      proxy.cut();
    }, 50);
    const { ended, slowest } = await callMany(TOTAL, 32, (n) =>
      caller.publish(n, { ...places[structure], rpc: true, timeout: 10_000 }),
    ).finally(() => clearInterval(cutting));
    process.stderr.write(
      `${cuts} cuts of a caller over a ${structure}: ${JSON.stringify(ended)}, slowest ${Math.round(slowest)} ms\n`,
    );
    expect(cuts).toBeGreaterThan(5);
    expect(ended).toEqual({ value: TOTAL });
    expect(caller.stats.pendingCalls).toBe(0);
  },
);

it.each(STRUCTURES)(
  'a service whose connections are cut every 150 ms leaves no call over a %s without its end',
  { timeout: 60_000 },
  async (structure) => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const service = newBroker(proxy.url, { logger: false });
    const caller = newBroker(server.url, { logger: false });
    const places = everywhere(service, async (body) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
      return body;
    });
    await service.start();
    await caller.connect();
    let cuts = 0;
    const cutting = setInterval(() => {
      cuts++;
      proxy.cut();
    }, 150);
    const { ended, lateValues, slowest } = await callMany(TOTAL, 32, (n) =>
      caller.publish(n, { ...places[structure], rpc: true, timeout: 2_000 }),
    ).finally(() => clearInterval(cutting));
    process.stderr.write(
      `${cuts} cuts of a service over a ${structure}: ${JSON.stringify(ended)}, slowest ${Math.round(slowest)} ms\n`,
    );
    const unexpected = Object.keys(ended).filter((how) => !MAY_END[structure].includes(how));
    expect(unexpected).toEqual([]);
    expect(cuts).toBeGreaterThan(3);
    expect(lateValues).toBeGreaterThan(TOTAL / 10);
    expect(slowest).toBeLessThan(3_000);
    expect(caller.stats.pendingCalls).toBe(0);
  },
);
