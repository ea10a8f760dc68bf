import { SetupError, event, rpc, type MessageContext } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

/** What something is refused with. */
async function refusal(act: () => unknown): Promise<string> {
  const error = await (async () => act())().catch((reason: Error) => reason);
  return error instanceof SetupError ? error.message : `no SetupError: ${String(error)}`;
}

onBothBackends('a message with a delay', (bench) => {
  it.each(['channel', 'list', 'stream'] as const)(
    'to a %s comes when it is due, as any other; publish resolves with its handle',
    async (kind) => {
      const { broker, name } = bench();
      const [service, sender] = [broker(), broker()];
      const got: [unknown, MessageContext['message']][] = [];
      const to = { [kind]: name() } as { list: string };
      let cameAt = 0;
      service.subscriber(to, (body, { message }) => {
        cameAt = performance.now();
        got.push([body, message]);
      });
      await service.start();
      const began = performance.now();
      const handle: string = await sender.publish(
        { n: 1 },
        { ...to, delay: 150, headers: { tenant: 'a' }, correlationId: 'c' },
      );
      expect(handle).toMatch(/^[\w-]{16}$/);
      await eventually(() => got.length === 1);
      expect(cameAt - began).toBeGreaterThan(140); // two clocks
      const [[body, message]] = got as [[unknown, MessageContext['message']]];
      expect(body).toEqual({ n: 1 });
      expect(message).toMatchObject({ correlationId: 'c', headers: { tenant: 'a' } });
      expect(Object.keys(message.headers).filter((key) => key.startsWith('redstart'))).toEqual([]);
    },
  );

  it('of 0, or at an instant that is over, has a handle too, and comes at once', async () => {
    const { broker, name } = bench();
    const service = broker();
    const got: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void got.push(body));
    await service.start();
    expect(typeof (await service.publish('a', { list: name(), delay: 0 }))).toBe('string');
    expect(typeof (await service.publish('b', { list: name(), at: new Date(0) }))).toBe('string');
    expect(typeof (await service.publish('c', { list: name(), at: 1 }))).toBe('string');
    await eventually(() => got.length === 3);
    expect(new Set(got)).toEqual(new Set(['a', 'b', 'c']));
  });

  it('is taken back by cancel, by whatever names its address, unless it was sent', async () => {
    const { broker, name } = bench();
    const service = broker({ prefix: 'shop:' });
    const got: unknown[] = [];
    const placed = event({ list: name() }, { schema: z.string() });
    service.subscriber(placed, (body) => void got.push(body));
    await service.start();
    const handle: string = await service.publish('a', placed, { delay: 60_000 });
    expect(await service.cancel({ list: name() }, 'unknown')).toBe(false);
    expect(await service.cancel({ stream: name() }, handle)).toBe(false);
    expect(await service.cancel(placed, handle)).toBe(true);
    expect(await service.cancel({ list: name() }, handle)).toBe(false);
    const soon = await service.publish('b', placed, { delay: 1 });
    await eventually(() => got.length === 1);
    expect(await service.cancel(placed, soon)).toBe(false);
    const channel = await service.publish('c', { channel: name('c'), delay: 60_000 });
    expect(await service.cancel(name('c'), channel)).toBe(true);
    expect(got).toEqual(['b']);
  });

  it('goes out of handlers, publishers, clients, batches and pipelines', async () => {
    const { broker, name } = bench();
    const service = broker();
    const got: string[] = [];
    const placed = event({ list: name() }, { schema: z.string() });
    service.subscriber(
      placed,
      (body, { message }) => void got.push(`${body} ${message.correlationId}`),
    );
    service.subscriber({ list: name('first') }, async (_body, ctx) => {
      expect(typeof (await ctx.publish('ctx', { list: name(), delay: 20 }))).toBe('string');
    });
    await service.start();
    await service.publish('go', { list: name('first'), correlationId: 'kept' });
    const correlationId = 'c';
    const one: string = await service
      .publisher({ list: name() })
      .publish('publisher', { delay: 20, correlationId });
    const two: string = await service
      .clientFor({ placed })
      .placed('client', { delay: 20, correlationId });
    const batch: string[] = await service.publishBatch(['x', 'y'], {
      list: name(),
      delay: 20,
      correlationId,
    });
    expect(new Set([one, two, ...batch]).size).toBe(4);
    for (const transaction of [false, true]) {
      const results = await service
        .pipeline({ transaction })
        .publish('now', { list: name(), correlationId })
        .publish('later', { list: name(), delay: 20, correlationId })
        .publish('contract', placed, { delay: 20, correlationId })
        .send();
      expect(results.map((result) => typeof result)).toEqual(['number', 'string', 'string']);
    }
    const expected = ['publisher', 'client', 'x', 'y', 'now', 'later', 'contract', 'now', 'later'];
    await eventually(() => expect(got).toHaveLength(11));
    expect(new Set(got)).toEqual(new Set(['ctx kept', ...expected.map((body) => `${body} c`)]));
  });

  it('passes publish middleware when it is published, and not again when it is sent', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    const service = broker({
      middlewares: [
        {
          publish: async (command, next) => {
            command.body = `changed ${String(command.body)}`;
            const result = await next();
            seen.push(result);
            return result;
          },
        },
      ],
    });
    const got: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void got.push(body));
    await service.start();
    const handle = await service.publish('a', { list: name(), delay: 20 });
    const batch = await service.publishBatch(['b'], { list: name(), delay: 40 });
    await eventually(() => got.length === 2);
    expect(got).toEqual(['changed a', 'changed b']);
    expect(seen).toEqual([handle, ...batch]);
  });

  it('that is past its expires is dropped unhandled and counted, also without a delay', async () => {
    const { broker, name } = bench();
    const [service, sender] = [broker(), broker()];
    const got: unknown[] = [];
    const outcomes: string[] = [];
    service.observe({ handled: ({ outcome }) => outcomes.push(outcome) });
    const group = { stream: name(), group: 'g', lastId: '0' };
    service.subscriber(group, (body, { message }) => {
      got.push(body);
      expect(Number(message.headers['redstart-expires'])).toBeGreaterThan(0);
    });
    await sender.publish('late', { stream: name(), expires: 1 });
    await sender.publish('delayed and late', { stream: name(), delay: 0, expires: 1 });
    await sender.publishBatch(['in time'], { stream: name(), expires: 60_000 });
    await sender.publish('delayed and in time', { stream: name(), delay: 50, expires: 60_000 });
    const entries = sender.deadLetters({ stream: name() });
    await eventually(async () => expect(await entries.count()).toBe(4));
    await using byHand = await sender.subscribe({ stream: name(), lastId: '0' });
    expect((await byHand.next({ timeout: 20_000 }))?.body).toBe('in time');
    await service.start();
    await eventually(() => got.length === 2);
    expect(got).toEqual(['in time', 'delayed and in time']);
    expect(outcomes.toSorted()).toEqual(['expired', 'expired', 'ok', 'ok']);
    expect(service.stats.expiredRequests).toBe(2);
  });

  it('is no call: delay, at and expires are refused there, and so is what is no time', async () => {
    const { broker, name } = bench();
    const service = broker();
    const list = name();
    const place = rpc({ list }, { request: z.string(), reply: z.string() });
    for (const key of ['delay', 'at', 'expires']) {
      const text = new RegExp(`^\\w+: '${key}' is not an option of a call`);
      const options = { [key]: 5 };
      expect(
        await refusal(() => service.publish(1, { list, rpc: true, ...options } as never)),
      ).toMatch(text);
      expect(await refusal(() => service.request(1, { list, ...options } as never))).toMatch(text);
      expect(await refusal(() => service.publish('x', place, options))).toMatch(text);
      expect(await refusal(() => service.gather(1, { channel: 'a', ...options } as never))).toMatch(
        text,
      );
      expect(
        await refusal(() => service.requestMany(1, { list, ...options } as never).next()),
      ).toMatch(text);
    }
    expect(await refusal(() => service.publish(1, { list, delay: 1, at: 1 } as never))).toMatch(
      /give one of them/,
    );
    expect(await refusal(() => service.publish(1, { list, delay: -1 }))).toMatch(
      /delay.*milliseconds.*got -1/,
    );
    expect(await refusal(() => service.publish(1, { list, delay: NaN }))).toMatch(/got NaN/);
    expect(await refusal(() => service.publish(1, { list, at: new Date('x') }))).toMatch(
      /at.*a Date, or Unix/,
    );
    expect(await refusal(() => service.publish(1, { list, at: '2026' } as never))).toMatch(
      /got the string '2026'/,
    );
    expect(await refusal(() => service.publish(1, { list, expires: Infinity }))).toMatch(
      /got Infinity/,
    );
    expect(await refusal(() => service.cancel({} as never, 'x'))).toMatch(
      /cancel: expected one of channel, list/,
    );
    expect(await refusal(() => service.cancel({ list }, 5 as never))).toMatch(
      /the handle' must be a string, got/,
    );
    expect(await refusal(() => service.cancel({ list }, ''))).toMatch(
      /the handle' must not be empty/,
    );
  });
});
