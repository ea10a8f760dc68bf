import { NoRespondersError, RemoteError } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { ownServer, rawClient } from '../support/redis.ts';

/** The network of these tests: milliseconds each way. Long beside what a busy machine adds. */
const ONE_WAY = 20;

async function median(run: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const started = performance.now();
    await run();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return times[25] as number;
}

it('a call that nobody hears fails within three round trips', { timeout: 60_000 }, async () => {
  const server = await ownServer();
  const proxy = await FaultProxy.to(server.port);
  proxy.delay(ONE_WAY);
  const raw = rawClient(proxy.url);
  const caller = newBroker(proxy.url);
  const call = async (): Promise<void> => {
    const calling = caller.publish(1, { channel: 'nobody', rpc: true, timeout: 30_000 });
    await expect(calling).rejects.toBeInstanceOf(NoRespondersError);
  };
  await call(); // connects and subscribes
  const ping = await median(() => raw.ping());
  const error = await median(call);
  process.stderr.write(`PING ${ping.toFixed(1)} ms, no responders ${error.toFixed(1)} ms\n`);
  expect(ping).toBeGreaterThan(2 * ONE_WAY - 2);
  expect(error).toBeLessThan(3 * ping);
});

it.each(['channel', 'list', 'stream'] as const)(
  'a failing handler on a %s is known as soon as an answer would be',
  { timeout: 60_000 },
  async (kind) => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    proxy.delay(ONE_WAY);
    const service = newBroker(server.url, { logger: false });
    const from = (name: string): { channel: string } =>
      (kind === 'stream' ? { stream: name, group: 'g' } : { [kind]: name }) as never;
    service.subscriber(from('works'), (body: unknown) => body);
    service.subscriber(from('fails'), () => {
      throw new RangeError('on purpose');
    });
    await service.start();
    const caller = newBroker(proxy.url);
    const to = (name: string): { channel: string } => ({ [kind]: name }) as never;
    const works = (): Promise<unknown> => caller.publish(1, { ...to('works'), rpc: true });
    const fails = async (): Promise<void> => {
      await expect(caller.publish(1, { ...to('fails'), rpc: true })).rejects.toBeInstanceOf(
        RemoteError,
      );
    };
    await works();
    const value = await median(works);
    const error = await median(fails);
    process.stderr.write(`${kind}: value ${value.toFixed(1)} ms, error ${error.toFixed(1)} ms\n`);
    expect(error).toBeLessThan(2 * value);
  },
);
