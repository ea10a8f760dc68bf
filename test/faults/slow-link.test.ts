// A connection that is slow is alive: a large message may take longer than every patience with silence.
import type { BrokerOptions } from 'redstart';
import { describe, expect } from 'vitest';
import { timingsOption } from '../../src/transport/timings.ts';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { heldUp } from '../support/held-up.ts';
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
    { timeout: 8 * within },
    async ({ own }) => {
      const server = await own.server();
      const proxy = await own.proxy(server.port);
      const options = { [timingsOption]: timings, logger: false } as BrokerOptions;
      const [service, sender] = [own.broker(proxy.url, options), own.broker(proxy.url, options)];
      // Each attempt by its number: what an earlier one has sent may still arrive.
      const got: string[] = [];
      const arrived = (attempt: number): string[] =>
        got
          .filter((one) => one.startsWith(`${attempt} `))
          .map((one) => one.split(' ')[1] as string);
      service.subscriber(at as object as { list: string }, (body: string) => {
        const [attempt, what = ''] = body.split(' ');
        got.push(`${attempt} ${what.length === size ? 'large' : what}`);
      });
      await Promise.all([service.start(), sender.connect()]);
      const to = (
        'channel' in at ? at : 'list' in at ? { list: at.list } : { stream: at.stream }
      ) as {
        list: string;
      };
      /** Until one arrives: while connections are replaced, a channel or a list may lose it. */
      const reached = async (attempt: number): Promise<void> => {
        while (!arrived(attempt).includes('first')) {
          await sender.publish(`${attempt} first`, to);
          await eventually(() => arrived(attempt).includes('first'), 5_000).catch(() => undefined);
        }
      };
      await reached(0);
      proxy.narrow(rate);
      const large = 'x'.repeat(size);
      let attempt = 1;
      for (; ; attempt++) {
        const { accepted } = proxy;
        const held = heldUp(own.finished);
        const sending = [`${attempt} ${large}`, `${attempt} behind`].map((body) =>
          sender.publish(body, to),
        );
        // One that fails has lost its connection, and another is made.
        const sent = await Promise.allSettled(sending);
        const isSent = sent.every(({ status }) => status === 'fulfilled');
        await eventually(
          () => (isSent && arrived(attempt).length >= 2) || proxy.accepted > accepted,
          within,
        );
        if (proxy.accepted === accepted) break;
        // On a machine so busy that nothing moved at all for so long, a connection is rightly replaced. That
        // may cost the message, and proves nothing: once more.
        await eventually(() => proxy.accepted >= accepted + proxy.quietBeforeClose.length, within);
        await reached(-attempt);
        // While this process is held up the proxy carries nothing either, and afterwards all at once.
        for (const quiet of proxy.quietBeforeClose)
          expect(quiet + held()).toBeGreaterThan(timings.pong / 2);
        proxy.quietBeforeClose.length = 0;
      }
      expect(arrived(attempt)).toEqual(['large', 'behind']);
    },
  );
});
