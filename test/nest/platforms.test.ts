// What needs packages of Nest that redstart's own tests do without: both web platforms, terminus, and
// the decorators and exceptions of @nestjs/microservices. Runs on each version of Nest: see run.mjs.
import 'reflect-metadata';
import { request, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import {
  Controller,
  Get,
  Injectable,
  Module,
  NotFoundException,
  Param,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { APP_FILTER, NestFactory, type AbstractHttpAdapter } from '@nestjs/core';
import { Ctx, Payload, RpcException } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { RedisBroker, subscriber, type MessageContext } from 'redstart';
import {
  RedstartHealthIndicator,
  RedstartModule,
  RpcErrorFilter,
  Subscribe,
  isRedstartContext,
} from 'redstart/nestjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { takeLogs, testLogger } from '../support/logs.ts';
import { redisUrl, unique } from '../support/redis.ts';

const platforms: [string, () => AbstractHttpAdapter][] = [
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
];

/** Which kinds of contexts the guard below has seen. */
const guarded: string[] = [];

@Injectable()
class Guard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    guarded.push(isRedstartContext(context) ? 'message' : context.getType());
    return true;
  }
}

@Controller()
class Orders {
  constructor(readonly broker: RedisBroker) {}

  @UseGuards(Guard)
  @Get('orders/:sku')
  order(@Param('sku') sku: string) {
    return this.broker.publish(sku, { list: 'orders', rpc: true, timeout: 10_000 });
  }

  @UseGuards(Guard)
  @subscriber({ list: 'orders' })
  place(sku: string) {
    if (sku === 'none') throw new NotFoundException('no such sku');
    return { sku };
  }

  @Subscribe('classic')
  classic(@Payload('sku') sku: string, @Ctx() ctx: MessageContext) {
    if (sku === 'none') throw new RpcException({ code: 'GONE', message: 'it is gone', sku });
    return [sku, ctx.subscriber.title];
  }
}

@Controller()
class Health {
  constructor(
    readonly health: HealthCheckService,
    readonly redstart: RedstartHealthIndicator,
  ) {}

  @Get('ready')
  @HealthCheck()
  ready() {
    return this.health.check([() => this.redstart.isHealthy('redis')]);
  }
}

interface Running {
  readonly app: INestApplication;
  /** The status and the JSON of a page. */
  get(path: string): Promise<[number, unknown]>;
}

async function run(
  adapter: AbstractHttpAdapter,
  controllers: Type[] = [Orders, Health],
): Promise<Running> {
  @Module({
    imports: [
      TerminusModule.forRoot({ logger: false }),
      RedstartModule.forRoot({
        connection: redisUrl(),
        prefix: `${unique('nest')}:`,
        logger: testLogger,
      }),
    ],
    controllers,
    providers: [{ provide: APP_FILTER, useClass: RpcErrorFilter }],
  })
  class AppModule {}
  const app = await NestFactory.create(AppModule, adapter, { logger: false, abortOnError: false });
  let isClosed = false;
  const close = app.close.bind(app);
  // Nest 11 would run the hooks of the end a second time.
  app.close = async () => {
    if (isClosed) return;
    isClosed = true;
    await close();
  };
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  const base = await app.getUrl();
  return {
    app,
    get: (path) => page(`${base}/${path}`),
  };
}

/** Over a connection of its own, which ends with the answer: one that stays open keeps a server from closing. */
async function page(url: string): Promise<[number, unknown]> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { agent: false }, resolve).once('error', reject).end();
  });
  return [response.statusCode ?? 0, await json(response)];
}

describe.each(platforms)('under %s', (_, adapter) => {
  it('a controller has routes and handlers, and its guard knows which is which', async () => {
    guarded.splice(0);
    const { get } = await run(adapter());
    expect(await get('orders/A-1')).toEqual([200, { sku: 'A-1' }]);
    expect(await get('orders/none')).toEqual([
      404,
      { statusCode: 404, message: 'no such sku', error: 'Not Found' },
    ]);
    expect(guarded).toEqual(['http', 'message', 'http', 'message']);
  });

  it('terminus reports the broker', async () => {
    const { app, get } = await run(adapter());
    expect(await get('ready')).toMatchObject([200, { info: { redis: { status: 'up' } } }]);
    await app.get(RedisBroker).stop();
    expect(await get('ready')).toMatchObject([503, { error: { redis: { status: 'down' } } }]);
  });

  it('while handlers end, requests that run may still publish', async () => {
    const [handling, handler] = [deferred<void>(), deferred<void>()];
    const [requested, request] = [deferred<void>(), deferred<void>()];
    @Controller()
    class Slow {
      constructor(readonly broker: RedisBroker) {}
      @subscriber({ list: 'slow' })
      async handle() {
        handling.resolve();
        await handler.promise;
      }
      @Get('slow')
      async slow() {
        requested.resolve();
        await request.promise;
        return { length: await this.broker.publish('A-1', { list: 'later' }) };
      }
    }
    const { app, get } = await run(adapter(), [Slow]);
    const broker = app.get(RedisBroker);
    await broker.publish(1, { list: 'slow' });
    const answer = get('slow');
    await Promise.all([handling.promise, requested.promise]);
    const closing = app.close();
    await expect.poll(async () => (await broker.health()).ready).toBe(false);
    request.resolve();
    expect(await answer).toEqual([200, { length: 1 }]);
    handler.resolve();
    await closing;
    expect((await broker.health()).connected).toBe(false);
  });

  it('decorators and exceptions of @nestjs/microservices work', async () => {
    const { app } = await run(adapter());
    const broker = app.get(RedisBroker);
    const to = { channel: 'classic', rpc: true, timeout: 10_000 } as const;
    expect(await broker.publish({ sku: 'A-1' }, to)).toEqual(['A-1', 'Orders.classic']);
    await expect(broker.publish({ sku: 'none' }, to)).rejects.toMatchObject({
      name: 'RpcError',
      code: 'GONE',
      message: 'it is gone',
      data: { sku: 'none' },
    });
    expect(takeLogs()).toEqual([]);
  });
});
