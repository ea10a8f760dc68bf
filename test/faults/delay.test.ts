import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { ownServer } from '../support/redis.ts';
import { STRUCTURES, callMany, everywhere } from './echo.ts';

it.each(STRUCTURES)(
  'no answer of 2 000 calls over a %s is lost to 0–20 ms of random delay on every chunk',
  { timeout: 180_000 },
  async (structure) => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    proxy.delay(0, 20);
    const service = newBroker(server.url);
    const places = everywhere(service, (body) => body);
    await service.start();
    const caller = newBroker(proxy.url);
    // All fifty of the first round race the SUBSCRIBE of the answers' channel.
    const { ended } = await callMany(2_000, 50, (n) =>
      caller.publish(n, { ...places[structure], rpc: true, timeout: 60_000 }),
    );
    expect(ended).toEqual({ value: 2_000 });
    expect(caller.stats).toMatchObject({ pendingCalls: 0, lateAnswers: 0 });
  },
);
