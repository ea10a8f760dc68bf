import { SetupError, event, rpc, type MessageContext } from 'redstart';
import { testContext } from 'redstart/testing';
import { expect, it } from 'vitest';
import { z } from 'zod';

const price = rpc('prices', { request: z.string(), reply: z.number() });

class Orders {
  async place(sku: string, ctx: MessageContext): Promise<unknown> {
    if (ctx.message.headers['tenant'] === undefined) return ctx.reject();
    await ctx.publish({ sku }, { stream: 'placed' });
    const cents = await ctx.clientFor({ price }).price(sku);
    return { sku, cents, path: ctx.path, aborted: ctx.signal.aborted };
  }
}

it('stands in for a broker in a unit test of one handler', async () => {
  const ctx = testContext('A-1', { headers: { tenant: 7 }, path: { x: 'y' }, answer: () => 1999 });
  expect(await new Orders().place('A-1', ctx)).toEqual({
    sku: 'A-1',
    cents: 1999,
    path: { x: 'y' },
    aborted: false,
  });
  expect(ctx.sent).toEqual([
    { body: { sku: 'A-1' }, to: { stream: 'placed' } },
    { body: 'A-1', to: price },
  ]);
  expect(ctx.settlement).toBeUndefined();
});

it('keeps the options of what was sent by a contract', async () => {
  const placed = event({ list: 'placed' }, { schema: z.string() });
  const ctx = testContext('A-1', { answer: () => 1999 });
  const options = { id: 'a', delay: 1_000, headers: { n: 1 } };
  await ctx.publish('A-1', placed, options);
  await ctx.publish('A-1', placed);
  await ctx.clientFor({ placed }).placed('A-1', { id: 'b' });
  await ctx.request('A-1', price, { timeout: 5 });
  await ctx.broker.publishBatch(['A-1'], placed, { headers: { n: 2 } });
  expect(ctx.sent).toEqual([
    { body: 'A-1', to: placed, options },
    { body: 'A-1', to: placed },
    { body: 'A-1', to: placed, options: { id: 'b' } },
    { body: 'A-1', to: price, options: { timeout: 5 } },
    { body: 'A-1', to: placed, options: { headers: { n: 2 } } },
  ]);
});

const user = (): Promise<string> => Promise.resolve('ada');

it('shows how the message was settled, once, and aborts on demand', async () => {
  const ctx = testContext('A-1');
  await new Orders().place('A-1', ctx);
  await ctx.ack();
  expect(ctx.settlement).toBe('reject');
  ctx.abort();
  expect(ctx.signal.aborted).toBe(true);
  expect(await ctx.resolve(user)).toBe('ada');
});

it('refuses an option that it does not have', () => {
  expect(() => testContext(1, { header: {} } as never)).toThrow(SetupError);
  expect(() => testContext(1, { header: {} } as never)).toThrow("did you mean 'headers'?");
});

it.each([
  ['headers', new Map()],
  ['headers', 7],
  ['correlationId', 5],
  ['path', 'a'],
  ['state', 5],
  ['source', 'prices'],
  ['deliveryCount', '2'],
  ['logger', {}],
  ['answer', 1_999],
])('refuses a value of another type: %s', (option, value) => {
  const make = (): unknown => testContext(1, { [option]: value });
  expect(make).toThrow(SetupError);
  expect(make).toThrow(`testContext: '${option}' must`);
});

it('has what its headers and its source say', () => {
  const headers = { correlation_id: 'c', 'content-type': 'text/plain', reply_to: 'inbox', key: 1 };
  const { message, subscriber } = testContext('A-1', { headers, source: { stream: 'orders' } });
  expect(message).toMatchObject({
    correlationId: 'c',
    contentType: 'text/plain',
    replyTo: 'inbox',
    headers: { ...headers, key: '1' },
  });
  expect(subscriber).toMatchObject({ kind: 'stream', name: 'orders', address: "stream 'orders'" });
  expect(testContext(1, { headers, correlationId: 'own' }).message.correlationId).toBe('own');
});

it('answers a call of many with no items where it has no answer', async () => {
  const lines = rpc('lines', { request: z.string(), reply: z.string(), many: true });
  const ctx = testContext('A-1');
  for await (const line of ctx.requestMany('all', lines)) expect(line).toBe('not there');
  expect(ctx.sent).toEqual([{ body: 'all', to: lines }]);
});
