// A connection that is slow is alive: a large message may take longer than every patience with silence.
import type { BrokerOptions } from 'redstart';
import { describe, expect } from 'vitest';
import { timingsOption } from '../../src/transport/timings.ts';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { timesDividedBy } from '../support/timings.ts';

const PLACES = [
  ['a channel', { channel: 'x' }],
  ['a list', { list: 'x' }],
  ['a reliable list', { list: 'x', reliable: true }],
  ['a group', { stream: 'x', group: 'g' }],
  ['a stream', { stream: 'x' }],
] as const;

/** A quarter of the waiting times: 0.8 s for an answer, 1.1 s beyond a blocking read. */
const timings = timesDividedBy(4);
/** Bytes a second. A large message takes 1.5 s there, and 1.5 s to the reader. */
const rate = 2_000_000;
const size = 3_000_000;
const within = 20 * ((size / rate) * 1_000);

describe.concurrent.each(PLACES)('over a slow link %s', (_, at) => {
  it(
    'carries a large message once, and the one behind it, over the connections that it has',
    {
      timeout: within,
    },
    async ({ own }) => {
      const server = await own.server();
      const proxy = await own.proxy(server.port);
      const options = { [timingsOption]: timings, logger: false } as BrokerOptions;
      const [service, sender] = [own.broker(proxy.url, options), own.broker(proxy.url, options)];
      const got: number[] = [];
      service.subscriber(
        at as object as { list: string },
        (body: string) => void got.push(body.length),
      );
      await Promise.all([service.start(), sender.connect()]);
      const to = (
        'channel' in at ? at : 'list' in at ? { list: at.list } : { stream: at.stream }
      ) as {
        list: string;
      };
      await sender.publish('first', to);
      await eventually(() => expect(got).toEqual([5]));
      proxy.narrow(rate);
      const large = 'x'.repeat(size);
      for (;;) {
        const { accepted } = proxy;
        got.length = 0;
        await sender.publish(large, to);
        await sender.publish('behind', to);
        await eventually(() => got.length === 2 || proxy.accepted > accepted, within);
        if (proxy.accepted === accepted) break;
        // On a machine so busy that nothing moved at all for so long, a connection is rightly replaced. That
        // may cost the message, and proves nothing: once more.
        await eventually(() => proxy.accepted === accepted + proxy.quietBeforeClose.length);
        for (const quiet of proxy.quietBeforeClose) expect(quiet).toBeGreaterThan(timings.pong / 2);
        proxy.quietBeforeClose.length = 0;
        await sender.publish('first', to);
        await eventually(() => got.includes(5), within);
      }
      expect(got).toEqual([size, 6]);
    },
  );
});
