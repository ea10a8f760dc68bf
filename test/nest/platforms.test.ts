// What needs packages of Nest that redstart's own tests do without: both web platforms, terminus, and
// the decorators and exceptions of @nestjs/microservices. Runs on each version of Nest: see run.mjs.
import 'reflect-metadata';
import { request, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import {
  Catch,
  Controller,
  Get,
  Injectable,
  Module,
  NotFoundException,
  Param,
  ParseIntPipe,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  type DynamicModule,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import { APP_FILTER, NestFactory, type AbstractHttpAdapter } from '@nestjs/core';
import { Ctx, Payload, RpcException } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { map } from 'rxjs';
import { RedisBroker, subscriber, type MessageContext } from 'redstart';
import {
  RedstartHealthIndicator,
  RedstartModule,
  RpcErrorFilter,
  Subscribe,
  UseBroker,
  getBrokerToken,
  getMessageContext,
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

/** One for each message and each request, with a number of its own. */
@Injectable({ scope: Scope.REQUEST })
class Visit {
  static count = 0;
  readonly number = ++Visit.count;
}

@Injectable()
class Some implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (!isRedstartContext(context))
      return context.switchToHttp().getRequest<{ params: { n: string } }>().params.n !== '0';
    return getMessageContext(context).message.body !== 0;
  }
}

@Injectable()
class Doubling implements PipeTransform {
  transform(n: number) {
    return n * 2;
  }
}

@Injectable()
class Wrapping implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(map((value: unknown) => ({ value })));
  }
}

@Catch(RangeError)
class RangeFilter implements ExceptionFilter {
  catch(error: RangeError, host: ArgumentsHost) {
    return `${host.getType()}: ${error.message}`;
  }
}

@UseGuards(Some)
@UseInterceptors(Wrapping)
@Controller()
class Shop {
  constructor(readonly visit: Visit) {}

  @Get('shop/:n')
  page(@Param('n', ParseIntPipe, Doubling) n: number) {
    return [n, this.visit.number];
  }

  @UseFilters(RangeFilter)
  @Subscribe({ list: 'shop' })
  order(@Payload(Doubling) n: number) {
    if (n > 100) throw new RangeError('too many');
    return [n, this.visit.number];
  }
}

@Controller()
@UseBroker('billing')
class Bills {
  @subscriber({ list: 'orders' })
  bill(sku: string) {
    return `bill for ${sku}`;
  }
}

interface Running {
  readonly app: INestApplication;
  /** The status and the JSON of a page. */
  get(path: string): Promise<[number, unknown]>;
}

function redstart(name?: string): DynamicModule {
  return RedstartModule.forRoot({
    connection: redisUrl(),
    prefix: `${unique('nest')}:`,
    logger: testLogger,
    ...(name === undefined ? {} : { name }),
  });
}

async function run(
  adapter: AbstractHttpAdapter,
  controllers: Type[] = [Orders, Health],
  providers: Type[] = [],
  brokers: DynamicModule[] = [],
): Promise<Running> {
  @Module({
    imports: [TerminusModule.forRoot({ logger: false }), redstart(), ...brokers],
    controllers,
    providers: [{ provide: APP_FILTER, useClass: RpcErrorFilter }, ...providers],
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

  it('guards, pipes, interceptors, filters and request scope work for messages as for requests', async () => {
    const { app, get } = await run(adapter(), [Shop], [Visit]);
    const broker = app.get(RedisBroker);
    const call = (body: unknown) =>
      broker.publish(body, { list: 'shop', rpc: true, timeout: 10_000 });
    Visit.count = 0;
    expect(await get('shop/2')).toEqual([200, { value: [4, 1] }]);
    expect(await call(2)).toEqual({ value: [4, 2] });
    expect(await call(3)).toEqual({ value: [6, 3] });
    await expect(call(0)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect((await get('shop/0'))[0]).toBe(403);
    expect(await call(100)).toBe('redstart: too many');
    expect(takeLogs()).toEqual([]);
  });

  it('two brokers in an app, and a second app beside it, have their own handlers', async () => {
    const { app } = await run(adapter(), [Orders, Bills], [], [redstart('billing')]);
    const other = await run(adapter(), [Health]);
    const to = { list: 'orders', rpc: true, timeout: 10_000 } as const;
    const billing = app.get<RedisBroker>(getBrokerToken('billing'));
    expect(await app.get(RedisBroker).publish('A-1', to)).toEqual({ sku: 'A-1' });
    expect(await billing.publish('A-1', to)).toBe('bill for A-1');
    expect(other.app.get(RedisBroker).subscribers).toEqual([]);
    await other.app.close();
    expect(await app.get(RedisBroker).publish('B-2', to)).toEqual({ sku: 'B-2' });
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
