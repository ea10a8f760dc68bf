import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { ownServer } from '../support/redis.ts';
import { MAY_END, STRUCTURES, Strikes, callMany, everywhere } from './echo.ts';

const TOTAL = 5_000;
/** What is lost with a connection ends with its timeout; a call over a stream never does, however busy the machine is. */
const TIMEOUTS = { channel: 2_000, list: 2_000, stream: 60_000 };

it.each(STRUCTURES)(
  'a caller whose connections are cut every 50 ms gets every answer over a %s: rule 7',
  { timeout: 240_000 },
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
    const call = (n: number): Promise<unknown> =>
      caller.publish(n, { ...places[structure], rpc: true, timeout: 60_000 });
    // A connection that is cut while it is made for the first time fails calls, as a start does.
    await call(0);
    const strikes = new Strikes(50, () => proxy.cut());
    const { ended, slowest } = await callMany(TOTAL, 32, (n) => strikes.watch(call(n))).finally(
      () => strikes.stop(),
    );
    process.stderr.write(
      `${strikes.count} cuts of a caller over a ${structure}: ${JSON.stringify(ended)}, slowest ${Math.round(slowest)} ms\n`,
    );
    expect(strikes.count).toBeGreaterThan(5);
    expect(ended).toEqual({ value: TOTAL });
    expect(caller.stats.pendingCalls).toBe(0);
  },
);

it.each(STRUCTURES)(
  'a service whose connections are cut every 150 ms leaves no call over a %s without its end',
  { timeout: 240_000 },
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
    const call = (n: number): Promise<unknown> =>
      caller.publish(n, { ...places[structure], rpc: true, timeout: TIMEOUTS[structure] });
    // A connection that is cut while it is made for the first time fails calls, as a start does.
    await call(0);
    const strikes = new Strikes(150, () => proxy.cut());
    // Over a channel they take so little time that there would be few cuts.
    const total = structure === 'channel' ? 3 * TOTAL : TOTAL;
    const { ended, lateValues, slowest } = await callMany(total, 32, (n) =>
      strikes.watch(call(n)),
    ).finally(() => strikes.stop());
    process.stderr.write(
      `${strikes.count} cuts of a service over a ${structure}: ${JSON.stringify(ended)}, slowest ${Math.round(slowest)} ms\n`,
    );
    const unexpected = Object.keys(ended).filter((how) => !MAY_END[structure].includes(how));
    expect(unexpected).toEqual([]);
    expect(strikes.count).toBeGreaterThan(3);
    expect(lateValues).toBeGreaterThan(total / 10);
    // Its timeout, and what a busy machine may add.
    expect(slowest).toBeLessThan(TIMEOUTS[structure] + 4_000);
    expect(caller.stats.pendingCalls).toBe(0);
  },
);
