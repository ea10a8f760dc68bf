import { RpcTimeoutError } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { hanging } from '../support/hanging.ts';

onBothBackends('a deadline', (bench) => {
  it('keeps late work from being done: a request that outlived it is dropped, and acknowledged', async () => {
    const { broker, name } = bench();
    const list = name('list');
    const stream = name('stream');
    const client = broker();
    await client.connect();
    // A call whose time is over before it could be sent is never sent: the way for answers is open first.
    const echo = name('echo');
    const other = broker();
    other.subscriber(echo, (body) => body);
    await other.start();
    await client.publish(1, { channel: echo, rpc: true, timeout: 20_000 });
    for (const to of [{ list }, { stream }]) {
      const call = client.publish('too late', { ...to, rpc: true, timeout: 100 });
      await expect(call).rejects.toBeInstanceOf(RpcTimeoutError);
    }

    const service = broker();
    const handled: unknown[] = [];
    service.subscriber({ list }, (body) => void handled.push(body));
    service.subscriber({ stream, group: 'g' }, (body) => void handled.push(body));
    await service.start();
    await client.publish('in time', { list, rpc: true, timeout: 20_000 });
    await client.publish('in time', { stream, rpc: true, timeout: 20_000 });
    expect(handled).toEqual(['in time', 'in time']);
    expect(service.stats.expiredRequests).toBe(2);
  });

  it('aborts ctx.signal when it passes', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    let aborted: unknown;
    service.subscriber(channel, async (_body, { signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted = signal.reason;
    });
    await service.start();
    // The handler ends as its caller's time does: whether that is a timeout or an answer is a race.
    // On a busy machine its time may be over before the handler begins: then once more.
    await eventually(async () => {
      await service.publish(1, { channel, rpc: true, timeout: 500 }).catch(() => undefined);
      return aborted !== undefined;
    });
    expect(aborted).toMatchObject({ code: 'CANCELLED' });
  });

  it('that a call inherits is never later than that of the message, however long its middleware takes', async () => {
    const { broker, name } = bench();
    const [outer, inner, many] = [name('outer'), name('inner'), name('many')];
    const service = broker();
    const seen: number[] = [];
    const see = (headers: Readonly<Record<string, string>>): void =>
      void seen.push(Number(headers['redstart-deadline']));
    service.subscriber(inner, (_body, { message }) => see(message.headers));
    service.subscriber(many, async function* items(_body, { message }) {
      see(message.headers);
      yield 1;
    });
    await service.start();
    const slow = broker({
      middlewares: [
        {
          publish: async (command, next) => {
            if (command.type === 'request') await new Promise((resolve) => setTimeout(resolve, 60));
            return next();
          },
        },
      ],
    });
    let end = NaN;
    slow.subscriber(outer, async (_body, ctx) => {
      end = Number(ctx.message.headers['redstart-deadline']);
      await ctx.publish(1, { channel: inner, rpc: true });
      await ctx.request(1, { channel: inner, timeout: 90_000 });
      await ctx.gather(1, { channel: inner });
      await collect(ctx.requestMany(1, { channel: many }));
    });
    await slow.start();
    await service.publish(1, { channel: outer, rpc: true, timeout: 60_000 });
    expect(seen).toHaveLength(4);
    for (const deadline of seen) {
      expect(deadline).toBeLessThanOrEqual(end);
      expect(deadline).toBeGreaterThan(end - 30_000);
    }
  });

  it.each(['ctx.publish', 'broker.publish', 'broker.publish after an await'])(
    'is inherited by a call made by %s inside a handler',
    async (how) => {
      const { broker, name } = bench();
      const outer = name('outer');
      const inner = name('inner');
      const service = broker();
      const client = broker();
      let innerError: unknown;
      const { handler, end } = hanging();
      service.subscriber(inner, handler);
      service.subscriber(outer, async (_body, ctx) => {
        if (how.endsWith('await')) await new Promise((resolve) => setTimeout(resolve, 1));
        const options = { channel: inner, rpc: true, timeout: 60_000 } as const;
        const call = how === 'ctx.publish' ? ctx.publish(1, options) : service.publish(1, options);
        innerError = await call.catch((error: unknown) => error);
      });
      await service.start();
      // Whether its own timeout or the handler's last answer comes first is a race.
      // On a busy machine its time may be over before the handler begins: then once more.
      await eventually(async () => {
        const call = client.publish(1, { channel: outer, rpc: true, timeout: 200 });
        await call.catch(() => undefined);
        return innerError !== undefined;
      });
      expect(innerError).toBeInstanceOf(RpcTimeoutError);
      expect((innerError as RpcTimeoutError).timeout).toBeLessThanOrEqual(200);
      end();
    },
  );

  it('is inherited past an await by the first message of a handler that is not declared async', async () => {
    const { broker, name } = bench();
    const outer = name('outer');
    const inner = name('inner');
    const service = broker();
    const client = broker();
    service.subscriber(inner, (_body, { message }) => message.headers['redstart-deadline']);
    service.subscriber(outer, () =>
      new Promise((resolve) => setImmediate(resolve)).then(() =>
        service.publish(1, { channel: inner, rpc: true, timeout: 60_000 }),
      ),
    );
    await service.start();
    const deadline = await client.publish(1, { channel: outer, rpc: true, timeout: 20_000 });
    // Far from the 60 s of the inner call: what is known of the server's clock is off by what a stall made its answer late.
    expect(Number(deadline) - Date.now()).toBeLessThan(40_000);
  });

  it('does not reach calls that are made outside of the handler', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    service.subscriber(channel, async (body) => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      return body;
    });
    await service.start();
    const short = service.publish('short', { channel, rpc: true, timeout: 20_000 });
    const long = service.publish('long', { channel, rpc: true, timeout: 20_000 });
    await expect(Promise.all([short, long])).resolves.toEqual(['short', 'long']);
  });
});
