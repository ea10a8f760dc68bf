import { BrokerClosedError, rpc, type Logger, type MessageContext } from 'redstart';
import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs, testLogger } from '../support/logs.ts';

onBothBackends("a handler's context", (bench) => {
  it('describes the message', async () => {
    const { broker, name } = bench();
    const service = broker();
    let seen: MessageContext['message'] | undefined;
    service.subscriber(name(), (_, ctx) => void (seen = ctx.message));
    await service.start();
    const headers = { region: 'eu', retries: 3, urgent: true };
    await service.publish(
      { a: 1 },
      { channel: name(), headers, correlationId: 'c-1', replyTo: name('answers') },
    );
    await eventually(() => expect(seen).toBeDefined());
    expect(seen).toMatchObject({
      body: { a: 1 },
      correlationId: 'c-1',
      replyTo: name('answers'),
      contentType: 'application/json',
      id: undefined,
      deliveryCount: 1,
      source: { channel: name() },
    });
    // Headers are text on the wire.
    expect({ ...seen?.headers }).toMatchObject({
      region: 'eu',
      retries: '3',
      urgent: 'true',
      correlation_id: 'c-1',
      'content-type': 'application/json',
    });
    expect(Buffer.isBuffer(seen?.raw)).toBe(true);
    expect(seen?.raw.includes('{"a":1}')).toBe(true);
  });

  it('has a message that JSON.stringify and console.log show as its fields, without the bytes', async () => {
    const { broker, name } = bench();
    const service = broker();
    let seen: MessageContext['message'] | undefined;
    service.subscriber({ list: name() }, (_, ctx) => void (seen = ctx.message));
    await service.start();
    const to = { list: name(), correlationId: 'c-1', key: 'k', headers: { region: 'eu' } };
    await service.publish({ a: 1 }, to);
    await eventually(() => expect(seen).toBeDefined());
    expect(JSON.parse(JSON.stringify(seen))).toEqual({
      body: { a: 1 },
      source: { list: name() },
      messageId: seen?.messageId,
      correlationId: 'c-1',
      deliveryCount: 1,
      key: 'k',
      contentType: 'application/json',
      headers: { ...seen?.headers },
    });
    const shown = inspect(seen);
    expect(shown).toContain("correlationId: 'c-1'");
    expect(shown).toContain("region: 'eu'");
    expect(shown).not.toContain('Buffer');
  });

  it('has an empty path where the address is no template', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), (_, ctx) => ({ path: ctx.path }));
    await service.start();
    const call = { channel: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toEqual({ path: {} });
  });

  it("'s publish keeps the correlation id, unless another is given, and so does the broker's inside a handler", async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: string[] = [];
    const publisher = service.publisher({ list: name('out') });
    service.subscriber({ list: name('in') }, async (_, ctx) => {
      await ctx.publish('kept', { list: name('out') });
      await ctx.publish('given', { list: name('out'), correlationId: 'other' });
      await service.publish('kept', { list: name('out') });
      await publisher.publish('kept');
      await service.publishBatch(['kept'], { list: name('out') });
      await service
        .pipeline()
        .publish('kept', { list: name('out') })
        .send();
    });
    service.subscriber(
      { list: name('out') },
      (_, ctx) => void seen.push(ctx.message.correlationId),
    );
    await service.start();
    await service.publish(1, { list: name('in'), correlationId: 'c-1' });
    await eventually(() => expect(seen).toHaveLength(6));
    expect(seen).toEqual(['c-1', 'other', 'c-1', 'c-1', 'c-1', 'c-1']);
    await service.publish('outside', { list: name('out') });
    await eventually(() => expect(seen).toHaveLength(7));
    expect(['c-1', 'other']).not.toContain(seen[6]);
  });

  it("'s publish keeps the correlation id of calls, too", async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name('outer'), concurrency: 2 }, (body, ctx) =>
      ctx.publish(body, { list: name('inner'), rpc: true, timeout: 20_000 }),
    );
    service.subscriber({ list: name('inner') }, (_, ctx) => ctx.message.correlationId);
    await service.start();
    const reply = await service.request(1, {
      list: name('outer'),
      timeout: 20_000,
      correlationId: 'c-7',
    });
    expect(reply.body).toBe('c-7');
    expect(reply.correlationId).toBe('c-7');
  });

  it("'s broker and its typed clients keep the correlation id, too", async () => {
    const { broker, name } = bench();
    const service = broker();
    const body = z.number();
    const inner = rpc({ list: name('inner') }, { request: body, reply: z.string() });
    const client = service.clientFor({ inner });
    service.subscriber(inner, (_, ctx) => ctx.message.correlationId);
    service.subscriber({ list: name('outer') }, async (n: number, ctx) => [
      await client.inner(n),
      (await ctx.broker.request(n, inner)).body,
    ]);
    await service.start();
    const call = { list: name('outer'), timeout: 20_000, correlationId: 'c-9' };
    expect((await service.request(1, call)).body).toEqual(['c-9', 'c-9']);
  });

  it('has the broker, and its logger', async () => {
    const { broker, name } = bench();
    const lines: unknown[] = [];
    const logger: Logger = { ...testLogger, info: (...line) => void lines.push(line) };
    const service = broker({ logger });
    service.subscriber(name(), (body, ctx) => {
      ctx.logger.info({ body }, 'placing');
      return ctx.broker === service;
    });
    await service.start();
    const call = { channel: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish('x', call)).toBe(true);
    expect(lines).toContainEqual([expect.objectContaining({ body: 'x' }), 'placing']);
  });

  it.each(['channel', 'list', 'stream'] as const)(
    'may ack, nack and reject where there is nothing to acknowledge, and twice (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const at = { [kind]: name() } as { list: string };
      let calls = 0;
      service.subscriber(at, async (body: 'ack' | 'nack' | 'reject', ctx: MessageContext) => {
        calls++;
        await ctx[body]();
        await ctx[body]();
        await ctx.ack();
      });
      service.subscriber({ list: name('done') }, () => 'done');
      await service.start();
      for (const how of ['ack', 'nack', 'reject']) await service.publish(how, at);
      await eventually(() => expect(calls).toBeGreaterThanOrEqual(3));
      await service.publish(1, { list: name('done'), rpc: true, timeout: 20_000 });
      expect(takeLogs().filter(({ level }) => level === 'error')).toEqual([]);
    },
  );

  it.each(['channel', 'list', 'stream'] as const)(
    'that nacks a call where nothing comes again lets its caller have the answer (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const at = { [kind]: name() } as { list: string };
      service.subscriber(at, async (_, ctx) => {
        await ctx.nack();
        return 'the answer';
      });
      await service.start();
      const call = { ...at, rpc: true, timeout: 20_000 } as const;
      expect(await service.publish(1, call)).toBe('the answer');
      takeLogs();
    },
  );

  it('that rejects a call tells the caller at once', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), async (_, ctx) => {
      await ctx.reject();
      return 'not this';
    });
    await service.start();
    await expect(
      service.publish(1, { channel: name(), rpc: true, timeout: 10_000 }),
    ).rejects.toMatchObject({ code: 'NO_REPLY' });
    takeLogs();
  });

  it("'s signal aborts when the broker's patience at stop ends", async () => {
    const { broker, name } = bench();
    const service = broker({ gracefulTimeout: 50 });
    let reason: unknown;
    let isIn = false;
    service.subscriber(name(), async (_, { signal }) => {
      expect(signal.aborted).toBe(false);
      isIn = true;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      reason = signal.reason;
    });
    await service.start();
    await service.publish(1, name());
    await eventually(() => expect(isIn).toBe(true));
    await service.stop();
    expect(reason).toBeInstanceOf(BrokerClosedError);
    expect(takeLogs()).toMatchObject([{ level: 'warn' }]);
  });

  it("'s signal aborts at the caller's deadline", async () => {
    const { broker, name } = bench();
    const service = broker();
    let aborted = 0;
    let release: (() => void) | undefined;
    const held = new Promise<void>((resolve) => void (release = resolve));
    service.subscriber(name(), async (_, { signal }) => {
      const began = performance.now();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted = performance.now() - began;
      await held; // else its answer might still come in time
    });
    await service.start();
    // Until its handler has begun in time: on a busy machine it may not.
    await eventually(async () => {
      const call = service.publish(1, { channel: name(), rpc: true, timeout: 100 });
      await expect(call).rejects.toMatchObject({ code: 'RPC_TIMEOUT' });
      expect(aborted).toBeGreaterThan(0);
    });
    release?.();
  });
});
