import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';
import { commandRate, quietest, wakes } from '../support/commands.ts';

const PLACES = [
  ['channel', { channel: 'x' }, { channel: 'x' }],
  ['list', { list: 'x' }, { list: 'x' }],
  ['stream', { stream: 'x' }, { stream: 'x' }],
  ['group', { stream: 'x', group: 'g' }, { stream: 'x' }],
] as const;

it.concurrent.for(PLACES)(
  'an idle %s subscriber costs less than one command a second, and wakes within 20 ms',
  { timeout: 120_000 },
  async ([kind, from, to], { own }) => {
    const server = await own.server();
    const client = own.client(server.url);
    const [service, sender] = [own.broker(server.url), own.broker(server.url)];
    const woken: number[] = [];
    service.subscriber(from as { list: string }, (sent: number) => {
      woken.push(performance.now() - sent);
    });
    await service.start();
    await client.ping();
    // The watchdog's PING, which is the connection's and not the subscriber's, is counted apart.
    const rate = await quietest(1, () => commandRate(client, 7_000, ['ping']));
    expect(rate).toBeLessThan(1);

    await sender.connect();
    const [best, median] = await wakes(woken, () =>
      sender.publish(performance.now(), to as { list: string }),
    );
    process.stderr.write(
      `idle ${kind}: ${rate.toFixed(2)} commands a second, wakes in ${best.toFixed(1)} to ${median.toFixed(1)} ms\n`,
    );
    expect(best).toBeLessThan(20);
    expect(median).toBeLessThan(250);
  },
);

it.concurrent('a broker with ten idle subscribers sends fewer than ten commands a second in all', async ({
  own,
}) => {
  const server = await own.server();
  const client = own.client(server.url);
  const broker = own.broker(server.url);
  for (let n = 0; n < 5; n++) {
    broker.subscriber({ list: `list:${n}` }, () => undefined);
    broker.subscriber({ stream: `stream:${n}`, group: 'g' }, () => undefined);
  }
  await broker.start();
  await client.ping();
  expect(await quietest(10, () => commandRate(client, 6_000))).toBeLessThan(10);
});
