// Errors that differ only in numbers and ids are one group, in `dlq ls --group-by error` and on the dashboard.
import { IdConflictError, RpcTimeoutError, UnknownIdError } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';
import { general } from '../../src/integrations/general.ts';
import { newBroker } from '../support/broker.ts';

/** What 40 of one kind of failure are called: ids are random, and no rule may hold by luck. */
async function names(fail: (n: number) => Promise<unknown>, type: object): Promise<Set<string>> {
  const all = new Set<string>();
  for (let n = 0; n < 40; n++) {
    const error: unknown = await fail(n).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
    const { name, message } = error as Error;
    all.add(general(`${name}: ${message}`));
  }
  return all;
}

it('leaves out the correlation id of a call that timed out, whatever it is', async () => {
  const broker = newBroker('memory://');
  await using test = await testBroker(broker);
  const call = async (n: number): Promise<unknown> => {
    const own = [{}, { correlationId: `order ${n}, part` }, { correlationId: `O'Hara-${n}` }][
      n % 3
    ];
    const made = broker.publish(n, { list: 'nobody', rpc: true, timeout: 1_000, ...own });
    made.catch(() => undefined); // it is awaited below
    await test.advance(1_000);
    return made;
  };
  expect([...(await names(call, RpcTimeoutError))]).toEqual([
    'RpcTimeoutError: no answer from list ‹…› within # ms (correlation id #): messages that wait in the list: #; nobody reads it, or its readers are busy',
  ]);
  const stream = async (n: number): Promise<unknown> => {
    const read = broker.requestMany(n, { list: 'nobody', timeout: 1_000 })[Symbol.asyncIterator]();
    const next = read.next();
    next.catch(() => undefined);
    await test.advance(1_000);
    return next;
  };
  expect((await names(stream, RpcTimeoutError)).size).toBe(1);
});

it('leaves out ids of messages', async () => {
  const broker = newBroker('memory://');
  await using test = await testBroker(broker);
  const conflict = async (n: number): Promise<unknown> => {
    await broker.publish(n, { list: 'l', id: `pay-${n}-order` });
    return broker.publish(-1, { list: 'l', id: `pay-${n}-order` });
  };
  expect((await names(conflict, IdConflictError)).size).toBe(1);
  const unknown = (n: number): Promise<unknown> => broker.answer(`pay-${n}-order`, { list: 'l' });
  expect((await names(unknown, UnknownIdError)).size).toBe(1);
  await test.idle();
});

it.each([
  ['TypeError: user V1StGXR8_Z5jdHi6B-myT is unknown', 'TypeError: user # is unknown'],
  ['TypeError: user VsYvm3RDSCzGrlZn is unknown', 'TypeError: user # is unknown'],
  ['Http2StreamTimeoutError: after 50 ms', 'Http#StreamTimeoutError: after # ms'],
  [
    'RateLimitedError: not in InternationalisationOf',
    'RateLimitedError: not in InternationalisationOf',
  ],
])('%s', (error, name) => expect(general(error)).toBe(name));
