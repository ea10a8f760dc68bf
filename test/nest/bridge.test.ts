// `nestFormat` and `nestClient` against Nest's own Redis transport, in both directions.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClientProxyFactory,
  EventPattern,
  MessagePattern,
  Payload,
  RpcException,
  Transport,
  type ClientProxy,
} from '@nestjs/microservices';
import { firstValueFrom, from } from 'rxjs';
import { RpcError } from 'redstart';
import { nestClient, nestFormat } from 'redstart/nestjs';
import { expect, it, onTestFinished } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';
import { redisUrl, unique } from '../support/redis.ts';

function connection(): { host: string; port: number; password?: string; username?: string } {
  const { hostname, port, password, username } = new URL(redisUrl());
  return {
    host: hostname,
    port: Number(port === '' ? 6379 : port),
    ...(password === '' ? {} : { password, username }),
  };
}

function nestClientProxy(): ClientProxy {
  const proxy = ClientProxyFactory.create({ transport: Transport.REDIS, options: connection() });
  onTestFinished(() => proxy.close() as Promise<void>);
  return proxy;
}

it('a ClientProxy of Nest calls handlers of redstart, hears their errors, and sends them events', async () => {
  const name = unique();
  const broker = newBroker(redisUrl());
  const events: unknown[] = [];
  broker.subscriber({ channel: `${name}.mul`, format: nestFormat }, ([a, b]: [number, number]) => {
    if (b === 0) throw new RpcError('ZERO', 'by zero');
    return { product: a * b };
  });
  broker.subscriber({ channel: `${name}.made`, format: nestFormat }, (event) => {
    events.push(event);
  });
  broker.subscriber({ channel: `${name}.none`, format: nestFormat }, () => undefined);
  await broker.start();
  const proxy = nestClientProxy();
  expect(await firstValueFrom(proxy.send(`${name}.mul`, [6, 7]))).toEqual({ product: 42 });
  await expect(firstValueFrom(proxy.send(`${name}.mul`, [1, 0]))).rejects.toMatchObject({
    status: 'error',
    code: 'ZERO',
    message: 'by zero',
  });
  await firstValueFrom(proxy.emit(`${name}.made`, { sku: 'A-1' }));
  await expect.poll(() => events).toEqual([{ sku: 'A-1' }]);
  expect(await firstValueFrom(proxy.send(`${name}.none`, 1), { defaultValue: 'nothing' })).toBe(
    'nothing',
  );
  expect(takeLogs()).toEqual([]);
});

it('redstart calls methods of a service of Nest, hears their errors, and sends them events', async () => {
  const name = unique();
  const events: unknown[] = [];
  @Controller()
  class Service {
    @MessagePattern(`${name}.mul`)
    mul(@Payload() [a, b]: [number, number]) {
      if (b === 0) throw new RpcException({ code: 'ZERO', message: 'by zero' });
      return { product: a * b };
    }
    @MessagePattern(`${name}.count`)
    count() {
      return from([1, 2, 3]);
    }
    @EventPattern(`${name}.made`)
    made(@Payload() event: unknown) {
      events.push(event);
    }
  }
  class AppModule {}
  Module({ controllers: [Service] })(AppModule);
  const service = await NestFactory.createMicroservice(AppModule, {
    transport: Transport.REDIS,
    options: connection(),
    logger: false,
  });
  onTestFinished(() => service.close());
  await service.listen();
  const broker = newBroker(redisUrl());
  await broker.start();
  const client = nestClient(broker);
  // Nest's server subscribes without waiting for Redis to confirm it.
  await expect.poll(() => client.emit(`${name}.made`, 'early')).toBe(1);
  expect(await client.call(`${name}.mul`, [6, 7])).toEqual({ product: 42 });
  expect(await client.call(`${name}.count`, null)).toBe(3);
  await expect(client.call(`${name}.mul`, [1, 0])).rejects.toMatchObject({
    name: 'RemoteError',
    remoteCode: 'ZERO',
    message: 'by zero',
  });
  await client.emit(`${name}.made`, { sku: 'A-1' });
  await expect.poll(() => events.at(-1)).toEqual({ sku: 'A-1' });
});
