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
] as const;

describe.concurrent.each(PLACES)('over a slow link %s', (_, at) => {
  it('carries a large message once, and the one behind it, over the connections that it has', async ({
    own,
  }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    // Half of the waiting times: 1.6 s for an answer, 2.3 s for a blocking read.
    const options = { [timingsOption]: timesDividedBy(2) } as BrokerOptions;
    const [service, sender] = [own.broker(proxy.url, options), own.broker(proxy.url, options)];
    const got: string[] = [];
    service.subscriber(at as object as { list: string }, (body: string) => void got.push(body));
    await Promise.all([service.start(), sender.connect()]);
    const {
      reliable: _reliable,
      group: _group,
      ...to
    } = at as { list: string; reliable: boolean } & {
      group: string;
    };
    await sender.publish('first', to);
    await eventually(() => expect(got).toEqual(['first']));
    const { accepted } = proxy;
    // 2.5 s there, and 2.5 s to the reader.
    proxy.narrow(2_000_000);
    const large = 'x'.repeat(5_000_000);
    await sender.publish(large, to);
    await sender.publish('behind', to);
    await eventually(() => expect(got).toHaveLength(3));
    expect(got.map(({ length }) => length)).toEqual([5, 5_000_000, 6]);
    expect(proxy.accepted).toBe(accepted);
  });
});
