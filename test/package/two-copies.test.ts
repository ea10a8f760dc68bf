import * as own from 'redstart';
import { z } from 'zod';
import { expect, it, vi } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { unique } from '../support/redis.ts';

// A monorepo, a bundler or pnpm can load redstart twice.
vi.resetModules();
const other = await import('redstart');

const { RedisBroker, RedisRouter, RedstartError, RemoteError, Response, RedisResponse, RpcError } =
  own;
const call = { rpc: true, timeout: 20_000 } as const;
const memory = (): own.RedisBroker => newBroker(`memory://${unique()}`);

it('the other copy is another one', () => {
  expect(other.RpcError).not.toBe(RpcError);
});

it('a Response of another copy of redstart is an answer with headers, in every structure', async () => {
  const broker = memory();
  const headers = { 'x-region': 'eu' };
  const answers = () => new other.Response({ ok: 1 }, { headers, correlationId: 'theirs' });
  broker.subscriber({ channel: 'c' }, answers);
  broker.subscriber({ list: 'l' }, async () => answers());
  broker.subscriber({ stream: 's' }, answers);
  broker.subscriber({ list: 'batch', batch: true }, (bodies) => bodies.map(answers));
  await broker.start();
  for (const to of [{ channel: 'c' }, { list: 'l' }, { stream: 's' }, { list: 'batch' }]) {
    const address = { ...to, timeout: 20_000 } as { list: string; timeout: number };
    const answer = await broker.request(1, address);
    expect(answer.body).toEqual({ ok: 1 });
    expect(answer.headers['x-region']).toBe('eu');
    expect(answer.headers['correlation_id']).toBe('theirs');
  }
});

it('a RedisResponse of another copy caps the stream that it is sent to', async () => {
  const broker = memory();
  broker.subscriber({ list: 'l' }, () => new other.RedisResponse('x', { maxlen: 1 }));
  await broker.start();
  const response = new other.RedisResponse('x', { maxlen: 1 });
  expect(response).toBeInstanceOf(RedisResponse);
  expect(response).toBeInstanceOf(Response);
  expect(new other.Response('x')).not.toBeInstanceOf(RedisResponse);
  for (let i = 0; i < 5; i++) await broker.publish(i, { list: 'l', replyTo: { stream: 'out' } });
  await broker.publish('all are answered', { list: 'l', ...call });
  const consumer = await broker.subscribe({ stream: 'out', lastId: '0' });
  expect((await consumer.next({ timeout: 20_000 }))?.body).toBe('x');
  expect(await consumer.next({ timeout: 20 })).toBeNull();
});

it('an RpcError of another copy is an answer, and finds its onError handler', async () => {
  const broker = memory();
  broker.subscriber({ list: 'plain' }, () => {
    throw new other.RpcError('SOLD_OUT', 'none left', { sku: 'A' });
  });
  broker.subscriber({ list: 'handled', onError: [own.onError(RpcError, () => 'caught')] }, () => {
    throw new other.RpcError('SOLD_OUT');
  });
  class Mine extends other.RpcError {}
  broker.subscriber({ list: 'sub', onError: [other.onError(RpcError, () => 'caught')] }, () => {
    throw new Mine('SOLD_OUT');
  });
  await broker.start();
  const error: unknown = await broker.publish(1, { list: 'plain', ...call }).catch((e) => e);
  expect(error).toBeInstanceOf(RpcError);
  expect(error).toBeInstanceOf(other.RpcError);
  expect(error).toMatchObject({ code: 'SOLD_OUT', data: { sku: 'A' } });
  expect(await broker.publish(1, { list: 'handled', ...call })).toBe('caught');
  expect(await broker.publish(1, { list: 'sub', ...call })).toBe('caught');
});

it('two onError handlers for one class are two, also of different copies', () => {
  const handlers = [own.onError(RpcError, () => 1), other.onError(other.RpcError, () => 2)];
  expect(() => new RedisRouter({ onError: handlers })).toThrow(/two handlers for RpcError/);
});

it('a router of another copy is included', async () => {
  const broker = memory();
  const router = new other.RedisRouter({ prefix: 'shop:' });
  router.subscriber({ list: 'orders' }, (body) => body);
  const publisher = router.publisher({ list: 'orders' });
  expect(router).toBeInstanceOf(RedisRouter);
  broker.include(router);
  await broker.start();
  expect(await publisher.request('x', { timeout: 20_000 })).toMatchObject({ body: 'x' });
  expect(await broker.publish('x', { list: 'shop:orders', ...call })).toBe('x');
});

it('a router of a version that does not fit is refused, and the text says why', () => {
  const router = new other.RedisRouter();
  Object.assign(router, { declarations: undefined });
  expect(() => memory().include(router)).toThrow(/another copy of redstart/);
});

it('every exported class of errors is recognised by the other copy, and no other class is', () => {
  const classes = Object.entries(own).filter(
    ([, value]) => typeof value === 'function' && value.prototype instanceof Error,
  ) as [string, abstract new () => object][];
  expect(classes.length).toBeGreaterThan(15);
  for (const [name, mine] of classes) {
    const theirs = (other as unknown as Record<string, { prototype: object }>)[name];
    const error = Object.create(theirs?.prototype as object) as object;
    expect(error).toBeInstanceOf(RedstartError);
    // Fails for a class that is not in the table at the end of errors.ts.
    expect((error as Error).name).toBe(name);
    // A RemoteError is recognised by what it holds.
    if (name === 'RemoteError') continue;
    expect(error).toBeInstanceOf(mine);
    const wrong = name === 'SetupError' ? own.SendError : own.SetupError;
    expect(error).not.toBeInstanceOf(wrong);
  }
  const remote = new other.RemoteError({ name: 'E', message: 'no' });
  expect(remote).toBeInstanceOf(RemoteError);
  expect(new Error('x')).not.toBeInstanceOf(RedstartError);
  class Mine extends RpcError {}
  expect(new other.RpcError('X')).not.toBeInstanceOf(Mine);
  expect(new Mine('X')).toBeInstanceOf(Mine);
});

it('decorators, contracts and fromType of another copy work', async () => {
  const text = z.string();
  const contract = other.rpc(
    { list: 'call' },
    { request: text, reply: text, errors: { NO: text } },
  );
  class Service {
    @other.subscriber({ list: 'typed', schema: other.fromType })
    typed(body: string): string {
      return body;
    }

    @other.subscriber(contract)
    call(body: string): string {
      throw contract.error('NO', body);
    }
  }
  Reflect.defineMetadata('design:paramtypes', [String], Service.prototype, 'typed');
  const broker = memory();
  broker.register(new Service());
  await broker.start();
  expect(await broker.publish('x', { list: 'typed', ...call })).toBe('x');
  const mine = own.rpc({ list: 'call' }, { request: text, reply: text, errors: { NO: text } });
  const error: unknown = await broker.publish('y', mine).catch((e) => e);
  expect(mine.is(error, 'NO')).toBe(true);
  expect(contract.is(error, 'NO')).toBe(true);
});

it('a broker of another copy answers a call of this one', async () => {
  const name = unique();
  const service = new other.RedisBroker(`memory://${name}`, { logger: false });
  service.subscriber({ list: 'x' }, () => new Response('mine'));
  await service.start();
  expect(await service.publish(1, { list: 'x', ...call })).toBe('mine');
  await service.stop();
  expect(RedisBroker).not.toBe(other.RedisBroker);
});
