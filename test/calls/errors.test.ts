import { InvalidMessageError, RemoteError, RpcError } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

onBothBackends('a handler\u2019s error', (bench) => {
  it('crosses as an RpcError with code, message and data, and is no failure in the log', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    service.subscriber(channel, () => {
      throw new RpcError('OUT_OF_STOCK', 'none left', { sku: 'A-1' });
    });
    await service.start();
    const error = await service
      .publish(1, { channel, rpc: true })
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({
      code: 'OUT_OF_STOCK',
      message: 'none left',
      data: { sku: 'A-1' },
    });
    expect(takeLogs()).toEqual([]);
  });

  it('crosses as name, message and plain cause, never with a stack', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    service.subscriber(channel, () => {
      throw new TypeError('no such thing', { cause: { table: 'orders' } });
    });
    service.subscriber(`${channel}:nested`, () => {
      throw new Error('outer', { cause: new Error('a secret of ours') });
    });
    await service.start();
    const error = await service
      .publish(1, { channel, rpc: true })
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ remoteName: 'TypeError', message: 'no such thing' });
    expect((error as RemoteError).cause).toEqual({ table: 'orders' });
    expect((error as RemoteError).stack).not.toContain('errors.test.ts:3');

    const nested = `${channel}:nested`;
    const answer = await service
      .publish(1, { channel: nested, rpc: true })
      .catch((caught: unknown) => caught);
    expect((answer as RemoteError).cause).toBeUndefined();
    expect(takeLogs()).toHaveLength(2);
  });

  it('crosses without the value that a schema refused', async () => {
    const { broker, name } = bench();
    const list = name();
    const service = broker();
    service.subscriber({ list, schema: z.object({ password: z.number() }) }, () => 'fine');
    await service.start();
    const call = service.publish({ password: 'hunter2' }, { list, rpc: true });
    const error = (await call.catch((caught: unknown) => caught)) as InvalidMessageError;
    expect(error).toBeInstanceOf(InvalidMessageError);
    expect(error.issues).toMatchObject([{ path: ['password'] }]);
    expect(JSON.stringify(error) + error.message).not.toContain('hunter2');
    takeLogs();
  });

  it.each(['broker', 'subscriber'])("is hidden by errorPolicy: 'hide' on the %s", async (level) => {
    const { broker, name } = bench();
    const channel = name();
    const hide = { errorPolicy: 'hide' } as const;
    const service = broker(level === 'broker' ? hide : {});
    service.subscriber(channel, level === 'subscriber' ? hide : {}, () => {
      throw new RpcError('SECRET', 'database is at 10.0.0.7', { user: 'root' });
    });
    await service.start();
    const error = await service
      .publish(1, { channel, rpc: true })
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ message: 'Internal error', remoteName: 'Error' });
    expect((error as RemoteError).remoteCode).toBeUndefined();
    expect((error as RemoteError).data).toBeUndefined();
    takeLogs(); // hidden-errors.test.ts reads them
  });
});
