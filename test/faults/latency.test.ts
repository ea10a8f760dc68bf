import { NoRespondersError, RemoteError } from 'redstart';
import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';

/** The network of these tests: milliseconds each way. Long beside what a busy machine adds. */
const ONE_WAY = 20;

async function median(run: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 15; i++) {
    const started = performance.now();
    await run();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return times[7] as number;
}

it.concurrent(
  'a call that nobody hears fails within three round trips',
  { timeout: 60_000 },
  async ({ own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    proxy.delay(ONE_WAY);
    const raw = own.client(proxy.url);
    const caller = own.broker(proxy.url);
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
  },
);

it.concurrent.for(['channel', 'list', 'stream'] as const)(
  'a failing handler on a %s is known as soon as an answer would be',
  { timeout: 60_000 },
  async (kind, { own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    proxy.delay(ONE_WAY);
    const service = own.broker(server.url, { logger: false });
    const from = (name: string): { channel: string } =>
      (kind === 'stream' ? { stream: name, group: 'g' } : { [kind]: name }) as never;
    service.subscriber(from('works'), (body: unknown) => body);
    service.subscriber(from('fails'), () => {
      throw new RangeError('on purpose');
    });
    await service.start();
    const caller = own.broker(proxy.url);
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
