import { NoRespondersError, RemoteError } from 'redstart';
import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';

/** The network of these tests: milliseconds each way. Long beside what a busy machine adds. */
const ONE_WAY = 20;

/** The medians of both, which are measured by turns: a machine that is busy for a while delays one as much as the other. */
async function medians(...both: readonly (() => Promise<unknown>)[]): Promise<[number, number]> {
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < 15; i++) {
    for (const [n, run] of both.entries()) {
      const started = performance.now();
      await run();
      times[n]?.push(performance.now() - started);
    }
  }
  return times.map((some) => some.toSorted((x, y) => x - y)[7]) as [number, number];
}

it.concurrent(
  'a call that nobody hears fails within three round trips',
  { timeout: 120_000 },
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
    const [ping, error] = await medians(() => raw.ping(), call);
    process.stderr.write(`PING ${ping.toFixed(1)} ms, no responders ${error.toFixed(1)} ms\n`);
    expect(ping).toBeGreaterThan(2 * ONE_WAY - 2);
    expect(error).toBeLessThan(3 * ping);
  },
);

it.concurrent.for(['channel', 'list', 'stream'] as const)(
  'a failing handler on a %s is known as soon as an answer would be',
  { timeout: 120_000 },
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
    const [value, error] = await medians(works, fails);
    process.stderr.write(`${kind}: value ${value.toFixed(1)} ms, error ${error.toFixed(1)} ms\n`);
    expect(error).toBeLessThan(2 * value);
  },
);
