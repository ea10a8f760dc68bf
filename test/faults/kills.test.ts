import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { isLong } from '../support/long.ts';
import { ownServer, rawClient } from '../support/redis.ts';
import { MAY_END, STRUCTURES, Strikes, callMany, everywhere } from './echo.ts';

const TOTAL = isLong ? 20_000 : 2_000;
/** What is lost with a connection ends with its timeout; a call over a stream never does, however busy the machine is. */
const TIMEOUTS = { channel: 2_000, list: 2_000, stream: 60_000 };
/** How late a busy machine may notice that the time of a call is over. */
const LATE = 4_000;

it.each(STRUCTURES)(
  `while all connections are killed, subscribers and others in turn every 50 ms, ${TOTAL} calls over a %s end in time`,
  { timeout: 240_000 },
  async (structure) => {
    const server = await ownServer();
    const service = newBroker(server.url, { logger: false });
    const caller = newBroker(server.url, { logger: false });
    let handled = 0;
    const places = everywhere(service, async (body) => {
      handled++;
      // So that answers, too, come due while connections are down.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      return body;
    });
    await service.start();
    const call = (n: number): Promise<unknown> =>
      caller.publish(n, { ...places[structure], rpc: true, timeout: TIMEOUTS[structure] });
    // A connection that is killed while it is made for the first time fails calls, as a start does.
    await call(0);
    const killer = rawClient(server.url);
    let killed = 0;
    const strikes = new Strikes(50, () => {
      const type = strikes.count % 2 === 1 ? 'PUBSUB' : 'NORMAL';
      killer.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes').then(
        (count) => (killed += count as number),
        () => {},
      );
    });
    const started = performance.now();
    const { ended, lateValues, slowest } = await callMany(TOTAL, 32, (n) =>
      strikes.watch(call(n)),
    ).finally(() => strikes.stop());
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    process.stderr.write(
      `kills over a ${structure}: ${JSON.stringify(ended)}, slowest ${Math.round(slowest)} ms, ` +
        `${killed} connections killed, ${handled} handled, ${seconds} s\n`,
    );

    expect(killed).toBeGreaterThan(10);
    expect(slowest).toBeLessThan(TIMEOUTS[structure] + LATE);
    expect(caller.stats.pendingCalls).toBe(0);
    const unexpected = Object.keys(ended).filter((how) => !MAY_END[structure].includes(how));
    expect(unexpected).toEqual([]);
    expect(lateValues).toBeGreaterThan(TOTAL / 10);
    // What a connection had just read is lost with it, from channels and lists.
    expect(ended['RpcTimeoutError'] ?? 0).toBeLessThan(killed);
  },
);
