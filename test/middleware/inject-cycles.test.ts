import { setImmediate } from 'node:timers/promises';
import type { Dependency, MessageContext } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

type Make = (ctx: MessageContext) => unknown;

const shared = async (): Promise<number> => 1;

/** Dependencies that need each other, in the ways in which they can wait. */
const CYCLES: [what: string, make: () => { one: Make }][] = [
  [
    'after an await',
    () => {
      const one = async (ctx: MessageContext): Promise<unknown> => (
        await setImmediate(),
        ctx.resolve(two)
      );
      const two = async (ctx: MessageContext): Promise<unknown> => (
        await setImmediate(),
        ctx.resolve(one)
      );
      return { one };
    },
  ],
  [
    'at once',
    () => {
      const one = (ctx: MessageContext): unknown => ctx.resolve(two);
      const two = (ctx: MessageContext): unknown => ctx.resolve(one);
      return { one };
    },
  ],
  [
    'one of them itself',
    () => {
      const one = async (ctx: MessageContext): Promise<unknown> => (
        await setImmediate(),
        ctx.resolve(one as Dependency)
      );
      return { one };
    },
  ],
  [
    'three of them, and generators',
    () => {
      const one = async function* (ctx: MessageContext): AsyncGenerator {
        await setImmediate();
        yield await ctx.resolve(two);
      };
      const two = async (ctx: MessageContext): Promise<unknown> => (
        await setImmediate(),
        ctx.resolve(three)
      );
      const three = (ctx: MessageContext): unknown =>
        Promise.resolve().then(() => ctx.resolve(one));
      return { one };
    },
  ],
  [
    'by a way beside',
    () => {
      const one = async (ctx: MessageContext): Promise<unknown> =>
        Promise.all([ctx.resolve(shared), ctx.resolve(two)]);
      const two = async (ctx: MessageContext): Promise<unknown> => (
        await ctx.resolve(shared),
        ctx.resolve(one)
      );
      return { one };
    },
  ],
];

onBothBackends('dependencies that need each other', (bench) => {
  it.each(CYCLES)('%s: the caller is told, and the handler does not hang', async (_, make) => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), inject: make() }, () => 1);
    service.subscriber({ list: name('inside') }, (_body, ctx) => ctx.resolve(make().one));
    await service.start();
    for (const list of [name(), name('inside')]) {
      const call = service.publish(1, { list, rpc: true, timeout: 20_000 });
      await expect(call).rejects.toMatchObject({ remoteCode: 'SETUP', message: /needs itself/ });
    }
    takeLogs();
  });

  it('that only share one are made, and each once', async () => {
    const { broker, name } = bench();
    const service = broker();
    let made = 0;
    const counted = async (ctx: MessageContext): Promise<number> => {
      await setImmediate();
      return ctx.message.body === 'x' ? ++made : 0;
    };
    const a = async (ctx: MessageContext): Promise<number> => 1 + (await ctx.resolve(counted));
    const b = async (ctx: MessageContext): Promise<number> => {
      Object.assign(ctx.state, { seen: true });
      return (await ctx.resolve(a)) + (await ctx.resolve(counted));
    };
    const both = async (ctx: MessageContext): Promise<number[]> =>
      Promise.all([ctx.resolve(b), ctx.resolve(a), ctx.resolve(counted)]);
    service.subscriber({ list: name(), inject: { both } }, (_body, { state }) => [
      state.both,
      (state as { seen?: boolean }).seen,
    ]);
    await service.start();
    const answer = await service.publish('x', { list: name(), rpc: true, timeout: 20_000 });
    expect(answer).toEqual([[3, 2, 1], true]);
  });
});
