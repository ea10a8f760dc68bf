import { SetupError, rpc, type MessageContext } from 'redstart';
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
