// What `errorPolicy: 'hide'` keeps from callers, and what it does not.
import {
  EncodeError,
  ExpiredError,
  IdConflictError,
  InvalidMessageError,
  NoReplyError,
  type RemoteError,
  RpcError,
  type MessageContext,
  type RedisBroker,
} from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const hide = { errorPolicy: 'hide' } as const;

function secret(): never {
  throw new RpcError('SECRET', 'the database is at 10.0.0.7', { user: 'root' });
}

async function errorOf(call: Promise<unknown>): Promise<RemoteError> {
  return (await call.then(
    () => new Error('the call did not fail'),
    (error: unknown) => error,
  )) as RemoteError;
}

/** The error of a call that was made to the list. */
const call = (broker: RedisBroker, list: string, body: unknown = 1): Promise<RemoteError> =>
  errorOf(broker.publish(body, { list, rpc: true }));

onBothBackends("errorPolicy: 'hide'", (bench) => {
  it.each(['channel', 'list', 'reliable list', 'stream'] as const)(
    'logs an RpcError that the caller is not told of (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const address = name();
      const service = broker(hide);
      const from = {
        channel: { channel: address },
        list: { list: address },
        'reliable list': { list: address, reliable: true },
        stream: { stream: address, group: 'g' },
      } as const;
      service.subscriber(from[kind] as { list: string }, secret);
      await service.start();
      const to =
        kind === 'channel'
          ? { channel: address }
          : kind === 'stream'
            ? { stream: address }
            : { list: address };
      const answer = service.publish(1, { ...(to as { list: string }), rpc: true });
      expect(await errorOf(answer)).toMatchObject({ message: 'Internal error' });
      const logs = takeLogs();
      expect(logs).toHaveLength(1);
      expect(logs[0]).toMatchObject({
        level: 'warn',
        error: expect.objectContaining({ code: 'SECRET' }) as unknown,
      });
    },
  );

  it('logs it of a batch and of a streamed answer, too', async () => {
    const { broker, name } = bench();
    const service = broker(hide);
    const [batch, many] = [name('batch'), name('many')];
    service.subscriber({ list: batch, batch: true }, secret);
    service.subscriber({ list: many }, async function* () {
      yield 1;
      secret();
    });
    await service.start();
    expect(await call(service, batch)).toMatchObject({ message: 'Internal error' });
    expect(takeLogs()).toHaveLength(1);
    const stream = errorOf(collect(service.requestMany(1, { list: many })));
    expect(await stream).toMatchObject({ message: 'Internal error' });
    expect(takeLogs()).toHaveLength(1);
  });

  it("leaves redstart's own refusals their code, and names no handler in them", async () => {
    const { broker, name } = bench();
    const service = broker({ ...hide, maxBytes: 1_000 });
    const [schema, filter, silent, rejecting, bad, large, slow, many] = [
      1, 2, 3, 4, 5, 6, 7, 8,
    ].map((n) => name(String(n))) as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    service.subscriber({ list: schema, schema: z.object({ sku: z.string() }) }, () => 'fine');
    service.subscriber({ list: filter, filter: () => false }, () => 'fine');
    service.subscriber({ list: silent, noReply: true }, function secretName() {});
    service.subscriber({ list: rejecting, reliable: true }, (_body: unknown, ctx: MessageContext) =>
      ctx.reject(),
    );
    service.subscriber({ list: bad }, () => ({ password: 1n }));
    service.subscriber({ list: large }, () => 'x'.repeat(2_000));
    service.subscriber({ list: slow, timeout: 20 }, () => new Promise(() => {}));
    service.subscriber({ list: many }, async function* () {
      yield { password: 1n };
    });
    const once = { list: name('once'), rpc: true, id: 'charge-1' } as const;
    let go: (() => void) | undefined;
    const running = (): Promise<void> => new Promise((resolve) => (go = resolve));
    service.subscriber({ list: once.list, concurrency: 2 }, running);
    await service.start();

    const invalid = await call(service, schema, { sku: 1 });
    expect(invalid).toBeInstanceOf(InvalidMessageError);
    expect((invalid as unknown as InvalidMessageError).issues).toMatchObject([{ path: ['sku'] }]);
    const errors = {
      NO_MATCHING_HANDLER: await call(service, filter),
      NO_REPLY: await call(service, silent),
    };
    for (const [code, error] of Object.entries(errors)) expect(error).toMatchObject({ code });
    expect(errors.NO_REPLY).toBeInstanceOf(NoReplyError);
    expect(errors.NO_REPLY.message).not.toContain('secretName');
    expect(await call(service, rejecting)).toBeInstanceOf(NoReplyError);
    for (const list of [bad, large]) {
      const error = await call(service, list);
      expect(error).toBeInstanceOf(EncodeError);
      expect(error.message).not.toContain('password');
    }
    const item = await errorOf(collect(service.requestMany(1, { list: many })));
    expect(item).toBeInstanceOf(EncodeError);
    expect(item.message).not.toContain('password');
    expect(await call(service, slow)).toMatchObject({ remoteCode: 'HANDLER_TIMEOUT' });
    expect(await call(service, many)).toMatchObject({ code: 'STREAM' });
    const first = service.publish(1, once);
    await eventually(() => go !== undefined);
    expect(await errorOf(service.publish(2, once))).toBeInstanceOf(IdConflictError);
    go?.();
    await first;
    takeLogs();
  });

  it('hides an error of redstart that the handler has thrown, or got from somebody else', async () => {
    const { broker, name } = bench();
    const service = broker(hide);
    const inner = broker();
    const [thrown, passed, reply, refining, within] = [1, 2, 3, 4, 5].map((n) =>
      name(String(n)),
    ) as [string, string, string, string, string];
    inner.subscriber({ list: within, schema: z.object({ secret: z.number() }) }, () => 'fine');
    service.subscriber({ list: thrown }, () => {
      throw new ExpiredError('the licence of 10.0.0.7 has expired');
    });
    service.subscriber({ list: passed }, (_body: unknown, ctx: MessageContext) =>
      ctx.publish({}, { list: within, rpc: true }),
    );
    service.subscriber(
      { list: reply, reply: z.object({ secret: z.number() }) },
      () => ({}) as never,
    );
    service.subscriber(
      {
        list: refining,
        schema: z.number().transform(() => {
          throw new TypeError('the table secrets is missing');
        }),
      },
      () => 'fine',
    );
    await Promise.all([service.start(), inner.start()]);
    for (const list of [thrown, passed, reply, refining]) {
      const error = await call(service, list);
      expect(error).toMatchObject({ message: 'Internal error', remoteCode: undefined });
      expect(error).not.toBeInstanceOf(ExpiredError);
    }
    takeLogs();
  });
});
