// `redstart/nestjs` in apps of Nest 12; test/nest runs the same on Nest 11 and on both platforms.
import 'reflect-metadata';
import {
  BadRequestException,
  Body,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExecutionContext,
  Get,
  Global,
  Inject,
  Injectable,
  InternalServerErrorException,
  Module,
  type NestInterceptor,
  NotFoundException,
  Param,
  ParseIntPipe,
  type PipeTransform,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ArgumentsHost,
  type DynamicModule,
  type ExceptionFilter,
  type INestApplicationContext,
  type Type,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, ExternalContextCreator, NestFactory, REQUEST } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { map, type Observable } from 'rxjs';
import {
  ConnectionError,
  RedisBroker,
  RemoteError,
  RpcError,
  SetupError,
  event,
  rpc,
  subscriber,
  type MessageContext,
} from 'redstart';
import {
  Ctx,
  Header,
  InjectBroker,
  Payload,
  RedstartHealthIndicator,
  RedstartModule,
  RpcErrorFilter,
  Subscribe,
  UseBroker,
  clientOf,
  getBrokerToken,
  getMessageContext,
  isRedstartContext,
  type RedstartModuleOptions,
} from 'redstart/nestjs';
import { testBroker } from 'redstart/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { deferred } from '../../src/internal/deferred.ts';
import { takeLogs, testLogger } from '../support/logs.ts';
import { unique } from '../support/redis.ts';

/** Lines of Nest's own logger. */
const nestLines: string[] = [];
const nestLog = {
  log: () => undefined,
  debug: () => undefined,
  warn: (text: unknown) => void nestLines.push(`warn ${String(text)}`),
  error: (text: unknown) => void nestLines.push(`error ${String(text)}`),
};

function redstart(options: RedstartModuleOptions = {}): DynamicModule {
  return RedstartModule.forRoot({
    connection: `memory://${unique()}`,
    logger: testLogger,
    ...options,
  });
}

/** An app without a web server, of one module. */
async function appOf(
  providers: NonNullable<DynamicModule['providers']>,
  imports: NonNullable<DynamicModule['imports']> = [redstart()],
  controllers: Type[] = [],
): Promise<INestApplicationContext> {
  class AppModule {}
  Module({ imports, providers, controllers })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, {
    logger: nestLog,
    abortOnError: false,
  });
  onTestFinished(() => close(app));
  return app;
}

const closed = new WeakSet<INestApplicationContext>();

/** Nest 11 would run the hooks of the end a second time. */
async function close(app: INestApplicationContext): Promise<void> {
  if (closed.has(app)) return;
  closed.add(app);
  await app.close();
}

function call(app: INestApplicationContext, body: unknown, channel: string): Promise<unknown> {
  return app.get(RedisBroker).publish(body, { channel, rpc: true, timeout: 10_000 });
}

@Injectable()
class Rates {
  readonly #cents = 1999;
  of(sku: string): { sku: string; cents: number } {
    return { sku, cents: this.#cents };
  }
}

@Injectable()
class Prices {
  readonly #seen: string[] = [];
  // Injected by its type: the compiler emits it.
  constructor(readonly rates: Rates) {}

  @subscriber('prices')
  price(sku: string) {
    this.#seen.push(sku);
    return this.rates.of(sku);
  }
}

describe('handlers of providers and controllers', () => {
  it('answer, with what is injected into them', async () => {
    @Controller()
    class Audit {
      @subscriber('audit')
      audit(entry: string) {
        return `noted ${entry}`;
      }
    }
    const app = await appOf([Rates, Prices], undefined, [Audit]);
    expect(await call(app, 'A-1', 'prices')).toEqual({ sku: 'A-1', cents: 1999 });
    expect(await call(app, 'x', 'audit')).toBe('noted x');
  });

  it('without enhancers are registered as they are: nothing of Nest runs', async () => {
    const app = await appOf([Rates, Prices]);
    const [found] = app.get(RedisBroker).subscribersOf(app.get(Prices));
    expect(found?.title).toBe('Prices.price');
  });

  it('of values and factories are found, an alias is not a second one', async () => {
    const app = await appOf([
      Rates,
      { provide: 'PRICES', useFactory: (rates: Rates) => new Prices(rates), inject: [Rates] },
      { provide: 'ALIAS', useExisting: 'PRICES' },
      { provide: 'NOTHING', useValue: null },
      { provide: 'TABLE', useValue: Object.create(null) as object },
      { provide: 'FUNCTION', useValue: () => undefined },
    ]);
    expect(await call(app, 'A-1', 'prices')).toEqual({ sku: 'A-1', cents: 1999 });
    expect(app.get(RedisBroker).subscribers).toHaveLength(1);
  });

  it('of a class with two instances are warned of', async () => {
    @Module({ providers: [Rates, Prices] })
    class Second {}
    const app = await appOf([Rates, Prices], [redstart(), Second]);
    expect(app.get(RedisBroker).subscribers).toHaveLength(2);
    expect(nestLines.splice(0)).toEqual([
      expect.stringMatching(/^warn Prices is provided in more than one module/),
    ]);
  });

  it('of a transient provider are refused', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Wrong {
      @subscriber('wrong')
      handle() {}
    }
    await expect(appOf([Wrong])).rejects.toThrow(/Wrong is a transient provider/);
  });
});

describe('enhancers', () => {
  @Injectable()
  class Allowed {
    readonly names = ['ada'];
  }
  @Injectable()
  class NameGuard implements CanActivate {
    constructor(readonly allowed: Allowed) {}
    canActivate(host: ExecutionContext): boolean {
      const { headers } = getMessageContext(host).message;
      return isRedstartContext(host) && this.allowed.names.includes(headers['name'] as string);
    }
  }
  @Injectable()
  class Wrapping implements NestInterceptor {
    intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle().pipe(map((value: unknown) => ({ value })));
    }
  }
  class Untouched implements NestInterceptor {
    intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle();
    }
  }
  @Catch(RangeError)
  class RangeFilter implements ExceptionFilter {
    catch(error: RangeError, host: ArgumentsHost) {
      return `${host.getType()}: ${error.message}`;
    }
  }
  @Injectable()
  class Doubling implements PipeTransform {
    transform(value: number, { type }: { type: string }) {
      return type === 'body' ? value * 2 : value;
    }
  }
  class Handlers {
    readonly #secret = 7;
    @UseGuards(NameGuard)
    @subscriber('guarded')
    guarded() {
      return this.#secret;
    }
    @UseInterceptors(Wrapping)
    @subscriber('intercepted')
    intercepted(n: number) {
      return n;
    }
    @UsePipes(Doubling)
    @subscriber('piped')
    piped(n: number, ctx: MessageContext) {
      return [n, ctx.message.correlationId.length > 0];
    }
    @Subscribe('parsed')
    parsed(
      @Payload('n', ParseIntPipe) n: number,
      @Header('name') name: string,
      @Ctx() ctx: MessageContext,
    ) {
      return [n, name, ctx.subscriber.title];
    }
    @UseFilters(RangeFilter)
    @subscriber('filtered')
    filtered(how: string) {
      if (how === 'range') throw new RangeError('too far');
      throw new NotFoundException('not here');
    }
    @subscriber('plain')
    plain() {
      return this.#secret;
    }
    @UseInterceptors(Untouched)
    @subscriber(counting)
    async *count(to: number) {
      for (let i = 1; i <= to; i++) yield i + this.#secret - 7;
    }
  }

  it('guards run, with what is injected into them, and a refusal is an RpcError', async () => {
    const app = await appOf([Allowed, Handlers]);
    const broker = app.get(RedisBroker);
    const to = { channel: 'guarded', rpc: true } as const;
    expect(await broker.publish(1, { ...to, headers: { name: 'ada' } })).toBe(7);
    await expect(broker.publish(1, to)).rejects.toMatchObject({
      name: 'RpcError',
      code: 'FORBIDDEN',
      message: 'Forbidden resource',
      data: { statusCode: 403 },
    });
  });

  it('guards, interceptors and filters of controllers run as those of providers do', async () => {
    class ControllerHandlers extends Handlers {}
    Controller()(ControllerHandlers);
    const app = await appOf([Allowed], undefined, [ControllerHandlers]);
    await expect(call(app, 1, 'guarded')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await call(app, 3, 'intercepted')).toEqual({ value: 3 });
    expect(await call(app, 'range', 'filtered')).toBe('redstart: too far');
  });

  it('guards of a class run for each of its handlers', async () => {
    @UseGuards(NameGuard)
    @Injectable()
    class Guarded {
      @subscriber('one')
      one() {
        return 1;
      }
      @subscriber('two')
      two() {
        return 2;
      }
    }
    const app = await appOf([Allowed, Guarded]);
    const headers = { name: 'ada' };
    for (const [channel, answer] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      await expect(call(app, 0, channel)).rejects.toMatchObject({ code: 'FORBIDDEN' });
      const to = { channel, rpc: true, headers } as const;
      expect(await app.get(RedisBroker).publish(0, to)).toBe(answer);
    }
  });

  describe('a transient guard', () => {
    const isNest12 = 'getHostModuleKey' in ExternalContextCreator.prototype;
    @Injectable({ scope: Scope.TRANSIENT })
    class OnlyAda implements CanActivate {
      readonly #name = 'ada';
      constructor(readonly allowed: Allowed) {}
      canActivate(host: ExecutionContext): boolean {
        return this.allowed.names.includes(this.#name) && host.getArgByIndex(0) === this.#name;
      }
    }
    @Injectable()
    class Greeting {
      @UseGuards(OnlyAda)
      @subscriber('greet')
      greet(name: string) {
        return `hello ${name}`;
      }
    }
    @Controller()
    class Web {
      @UseGuards(OnlyAda)
      @subscriber('web')
      greet(name: string) {
        return `hello ${name}`;
      }
    }

    it.runIf(isNest12)('is made for the class that it guards', async () => {
      const app = await appOf([Allowed, Greeting], undefined, [Web]);
      for (const channel of ['greet', 'web']) {
        expect(await call(app, 'ada', channel)).toBe('hello ada');
        await expect(call(app, 'eve', channel)).rejects.toMatchObject({ code: 'FORBIDDEN' });
      }
    });

    it.skipIf(isNest12)('is refused in Nest 11, which would not make it whole', async () => {
      await expect(appOf([Allowed, Greeting])).rejects.toThrow(/is transient, which needs Nest 12/);
      await expect(appOf([Allowed], undefined, [Web])).rejects.toThrow(/is transient/);
    });
  });

  it('a guard that Nest does not find keeps the app from starting', async () => {
    @Injectable()
    class Unknown implements CanActivate {
      canActivate(): boolean {
        return false;
      }
    }
    class Late extends Handlers {}
    // Nest reads the guards of classes: of a value it never saw the class.
    UseGuards(Unknown)(Late);
    const late = { provide: 'LATE', useValue: new Late() };
    await expect(appOf([Allowed, late])).rejects.toThrow(/Nest has not found every guard of Late/);
    // Also where an enhancer of the whole app is made for each message, and so every handler is.
    @Injectable({ scope: Scope.REQUEST })
    class Each extends Unknown {}
    const each = { provide: APP_GUARD, useClass: Each };
    await expect(appOf([Allowed, late, each])).rejects.toThrow(/has not found every guard of Late/);
  });

  it('interceptors change the answer', async () => {
    const app = await appOf([Allowed, Handlers]);
    expect(await call(app, 3, 'intercepted')).toEqual({ value: 3 });
  });

  it('pipes of a method change its body, and the context stays', async () => {
    const app = await appOf([Allowed, Handlers]);
    expect(await call(app, 3, 'piped')).toEqual([6, true]);
  });

  it('decorated parameters are filled, through their pipes', async () => {
    const app = await appOf([Allowed, Handlers]);
    const broker = app.get(RedisBroker);
    const to = { channel: 'parsed', rpc: true, headers: { name: 'ada' } } as const;
    expect(await broker.publish({ n: '17' }, to)).toEqual([17, 'ada', 'Handlers.parsed']);
    await expect(broker.publish({ n: 'x' }, to)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('filters answer in the place of the handler; what they do not catch goes on', async () => {
    const app = await appOf([Allowed, Handlers]);
    expect(await call(app, 'range', 'filtered')).toBe('redstart: too far');
    await expect(call(app, '?', 'filtered')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    nestLines.splice(0);
  });

  it('a streamed answer passes through them', async () => {
    const app = await appOf([Allowed, Handlers]);
    const seen: number[] = [];
    for await (const n of app.get(RedisBroker).requestMany(3, counting)) seen.push(n);
    expect(seen).toEqual([1, 2, 3]);
  });

  it('plain methods of the same class are called directly', async () => {
    const app = await appOf([Allowed, Handlers]);
    expect(await call(app, 1, 'plain')).toBe(7);
  });

  it('of the whole app run for messages, too, and a refusal says so once', async () => {
    @Injectable()
    class HttpOnly implements CanActivate {
      canActivate(host: ExecutionContext): boolean {
        return host.getType() === 'http';
      }
    }
    const app = await appOf([Rates, Prices, { provide: APP_GUARD, useClass: HttpOnly }]);
    for (let i = 0; i < 2; i++)
      await expect(call(app, 'A-1', 'prices')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(nestLines.splice(0)).toEqual([
      expect.stringMatching(/^warn a guard refused a message for Prices; .*isRedstartContext/),
    ]);
  });

  it('of the whole app that are made for each request run, too', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class OnlyAda implements CanActivate {
      constructor(
        @Inject(REQUEST) readonly ctx: MessageContext,
        readonly allowed: Allowed,
      ) {}
      canActivate(): boolean {
        return this.allowed.names.includes(this.ctx.message.body as string);
      }
    }
    const app = await appOf([Allowed, Rates, Prices, { provide: APP_GUARD, useClass: OnlyAda }]);
    expect(await call(app, 'ada', 'prices')).toEqual({ sku: 'ada', cents: 1999 });
    await expect(call(app, 'eve', 'prices')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    nestLines.splice(0);
  });
});

describe('request scope', () => {
  it('makes a provider for each message, which can inject its context', async () => {
    let made = 0;
    @Injectable({ scope: Scope.REQUEST })
    class Who {
      readonly number = ++made;
      constructor(@Inject(REQUEST) readonly ctx: MessageContext) {}
    }
    @Injectable()
    class Greeting {
      constructor(readonly who: Who) {}
      @subscriber('greet')
      greet(name: string, ctx: MessageContext) {
        return [name, this.who.number, this.who.ctx === ctx];
      }
      @UseGuards(Seen)
      @subscriber('guarded')
      guarded() {
        return this.who.number;
      }
    }
    @Controller()
    class Web {
      constructor(readonly who: Who) {}
      @subscriber('web')
      web() {
        return this.who.number;
      }
    }
    const app = await appOf([Who, Greeting], undefined, [Web]);
    expect(await call(app, 'Ada', 'greet')).toEqual(['Ada', 1, true]);
    expect(await call(app, 'Eve', 'greet')).toEqual(['Eve', 2, true]);
    expect(await call(app, 1, 'guarded')).toBe(3);
    expect(await call(app, 1, 'web')).toBe(4);
    expect(app.get(RedisBroker).subscribers.map(({ title }) => title)).toContain('Greeting.greet');
  });
});

@Injectable()
class Seen implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

const counting = rpc('counting', { request: z.number(), reply: z.number(), many: true });
const price = rpc('prices', {
  request: z.string(),
  reply: z.object({ sku: z.string(), cents: z.number() }),
});
const sold = event({ list: 'sold' }, { schema: z.string() });

describe('brokers', () => {
  it('two in an app have their own handlers, and are injected by name', async () => {
    @Injectable()
    @UseBroker('billing')
    class Bills {
      @subscriber('prices')
      bill(sku: string) {
        return `bill for ${sku}`;
      }
    }
    @Injectable()
    class Both {
      constructor(
        readonly one: RedisBroker,
        @InjectBroker('billing') readonly other: RedisBroker,
      ) {}
    }
    const app = await appOf(
      [Rates, Prices, Bills, Both],
      [redstart(), redstart({ name: 'billing' })],
    );
    const { one, other } = app.get(Both);
    expect(other).toBe(app.get(getBrokerToken('billing')));
    expect(await one.publish('A-1', price)).toEqual({ sku: 'A-1', cents: 1999 });
    expect(await other.publish('A-1', { channel: 'prices', rpc: true })).toBe('bill for A-1');
  });

  it('of two apps in one process know nothing of each other', async () => {
    const one = await appOf([Rates, Prices]);
    const two = await appOf([Rates]);
    expect(one.get(RedisBroker)).not.toBe(two.get(RedisBroker));
    expect(two.get(RedisBroker).subscribers).toEqual([]);
    await close(two);
    expect(await call(one, 'A-1', 'prices')).toEqual({ sku: 'A-1', cents: 1999 });
  });

  it('get their options from a factory', async () => {
    @Module({ providers: [{ provide: 'URL', useValue: `memory://${unique()}` }], exports: ['URL'] })
    class Config {}
    const app = await appOf(
      [Rates, Prices],
      [
        RedstartModule.forRootAsync({
          imports: [Config],
          inject: ['URL'],
          useFactory: async (connection: string) => ({ connection, prefix: 'shop:' }),
        }),
      ],
    );
    const [found] = app.get(RedisBroker).subscribers;
    expect(found?.name).toBe('shop:prices');
  });

  it('that cannot be told apart or are missing are mistakes that are explained', async () => {
    @Injectable()
    @UseBroker('bills')
    class Lost {
      @subscriber('x')
      handle() {}
    }
    const two = [redstart({ name: 'a' }), redstart({ name: 'b' })];
    await expect(appOf([Rates, Prices], two)).rejects.toThrow(
      /Prices has @subscriber methods, and every broker has a name/,
    );
    await expect(appOf([Lost])).rejects.toThrow(
      /Lost has @UseBroker\('bills'\), and no forRoot has this name: there is 'default'/,
    );
    await expect(appOf([], [redstart(), redstart()])).rejects.toThrow(
      /forRoot was called twice for the broker 'default'/,
    );
    expect(() => RedstartModule.forRoot({ name: '' })).toThrow(SetupError);
    const nothing = RedstartModule.forRootAsync({ useFactory: () => undefined as never });
    await expect(appOf([], [nothing])).rejects.toThrow(/'useFactory' must return the options/);
  });

  it('keep an app from starting that cannot reach Redis', async () => {
    await expect(appOf([], [redstart({ connection: 'redis://127.0.0.1:1' })])).rejects.toThrow(
      ConnectionError,
    );
    takeLogs();
  });

  it('can be put under test', async () => {
    const app = await appOf([Rates, Prices], [redstart({ autoStart: false })]);
    await using test = await testBroker(app.get(RedisBroker));
    await call(app, 'A-1', 'prices');
    expect(test.handled(Prices, 'price')).toMatchObject([{ result: { cents: 1999 } }]);
  });
});

describe('typed clients', () => {
  it('are injected by their class', async () => {
    class Shop extends clientOf({ price, sold }) {}
    @Injectable()
    class Gateway {
      constructor(readonly shop: Shop) {}
    }
    const app = await appOf([Rates, Prices, Shop, Gateway]);
    const { shop } = app.get(Gateway);
    const answer: { sku: string; cents: number } = await shop.price('A-1');
    expect(answer).toEqual({ sku: 'A-1', cents: 1999 });
    expect(await shop.sold('A-1')).toBe(1);
  });
});

describe('start and end', () => {
  it('handlers run between all hooks of the start and the first of the end', async () => {
    const happened: string[] = [];
    const [handling, release] = [deferred<void>(), deferred<void>()];
    @Injectable()
    class Database {
      async onApplicationBootstrap() {
        await new Promise((resolve) => setTimeout(resolve, 20));
        happened.push('database open');
      }
      onModuleDestroy() {
        happened.push('database closed');
      }
    }
    @Global()
    @Module({ providers: [Database], exports: [Database] })
    class DatabaseModule {}
    @Injectable()
    class Orders {
      constructor(
        readonly database: Database,
        readonly broker: RedisBroker,
      ) {}
      async onModuleInit() {
        await this.broker.publish('A-1', { list: 'orders' });
        happened.push('order sent');
      }
      @subscriber({ list: 'orders' })
      async place(sku: string) {
        happened.push(`${sku} begins`);
        handling.resolve();
        await release.promise;
        happened.push(`${sku} ends`);
      }
      async onModuleDestroy() {
        happened.push('orders destroyed');
        await this.broker.publish('bye', { channel: 'log' });
      }
      async onApplicationShutdown() {
        await this.broker.publish('bye', { channel: 'log' });
        happened.push('goodbye sent');
      }
    }
    const app = await appOf([Orders], [redstart(), DatabaseModule]);
    const broker = app.get(RedisBroker);
    await handling.promise;
    const closing = close(app);
    await expect.poll(async () => (await broker.health()).ready).toBe(false);
    release.resolve();
    await closing;
    expect(happened).toEqual([
      'order sent',
      'database open',
      'A-1 begins',
      'A-1 ends',
      'orders destroyed',
      'database closed',
      'goodbye sent',
    ]);
    await expect(broker.publish(1, { list: 'orders' })).rejects.toThrow('the broker is closed');
  });
});

describe('errors', () => {
  class Failing {
    @subscriber('fail')
    fail(how: string) {
      if (how === 'missing') throw new NotFoundException('no such order');
      if (how === 'own') throw new BadRequestException({ field: 'sku' });
      if (how === 'rpc')
        throw Object.assign(new Error('rpc'), { getError: () => ({ code: 'X', a: 1 }) });
      if (how === 'sold') throw new RpcError('SOLD_OUT', 'sold out', { left: 0 });
      if (how === 'range') throw new RangeError('secret');
      throw new InternalServerErrorException('broken');
    }
  }

  it('HttpExceptions below 500 and RpcExceptions reach the caller as RpcErrors; 5xx is a failure', async () => {
    const app = await appOf([Failing]);
    await expect(call(app, 'missing', 'fail')).rejects.toMatchObject({
      name: 'RpcError',
      code: 'NOT_FOUND',
      message: 'no such order',
      data: { statusCode: 404, message: 'no such order' },
    });
    await expect(call(app, 'own', 'fail')).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      data: { field: 'sku' },
    });
    await expect(call(app, 'rpc', 'fail')).rejects.toMatchObject({ code: 'X', data: { a: 1 } });
    expect(takeLogs()).toEqual([]);
    const broken = await call(app, '', 'fail').catch((error: unknown) => error);
    expect(broken).toBeInstanceOf(RemoteError);
    expect(broken).toMatchObject({ remoteName: 'InternalServerErrorException' });
    expect(takeLogs()).toHaveLength(1);
  });

  it('of calls become answers of HTTP controllers, as their handler meant them', async () => {
    class ShopErrors extends RpcErrorFilter {
      protected override readonly statuses = { SOLD_OUT: 409 };
    }
    @Controller()
    class Web {
      constructor(readonly broker: RedisBroker) {}
      @Get('fail/:how')
      fail(@Param('how') how: string) {
        return this.broker.publish(how, { channel: 'fail', rpc: true, timeout: 10_000 });
      }
      @Get('nobody')
      nobody() {
        return this.broker.publish(1, { channel: 'nobody', rpc: true });
      }
      @subscriber('also')
      also(@Body() body: string) {
        return body;
      }
    }
    @Module({
      imports: [redstart()],
      providers: [Failing, { provide: APP_FILTER, useClass: ShopErrors }],
      controllers: [Web],
    })
    class AppModule {}
    const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: nestLog });
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    const base = await app.getUrl();
    const get = async (path: string): Promise<[number, unknown]> => {
      const response = await fetch(`${base}/${path}`);
      return [response.status, await response.json()];
    };
    expect(await get('fail/missing')).toEqual([
      404,
      { statusCode: 404, message: 'no such order', error: 'Not Found' },
    ]);
    expect(await get('fail/sold')).toEqual([
      409,
      { statusCode: 409, code: 'SOLD_OUT', message: 'sold out', data: { left: 0 } },
    ]);
    expect((await get('fail/range'))[0]).toBe(502);
    expect((await get('nobody'))[0]).toBe(503);
    expect(await call(app, 'as HTTP names it', 'also')).toBe('as HTTP names it');
    expect(takeLogs()).toHaveLength(1);
    nestLines.splice(0);
  });
});

describe('health', () => {
  it('is what terminus takes from an indicator', async () => {
    const app = await appOf([Rates, Prices]);
    const indicator = app.get(RedstartHealthIndicator);
    const { redis } = await indicator.isHealthy('redis');
    expect(redis).toEqual({ status: 'up', state: 'green', problems: [] });
    await app.get(RedisBroker).stop();
    expect((await indicator.isHealthy('redis')).redis.status).toBe('down');
    expect((await indicator.isHealthy('redis', { probe: 'live' })).redis.status).toBe('up');
    await expect(indicator.isHealthy('redis', { broker: 'billing' })).rejects.toThrow(SetupError);
  });
});

describe('the log', () => {
  it('is that of Nest, where no logger is given', async () => {
    class Failing {
      @subscriber('fail')
      fail() {
        throw new RangeError('too far');
      }
    }
    const app = await appOf(
      [Failing],
      [RedstartModule.forRoot({ connection: `memory://${unique()}` })],
    );
    await expect(call(app, 1, 'fail')).rejects.toThrow('too far');
    expect(nestLines.splice(0)).toEqual([expect.stringMatching(/^error .*too far/)]);
  });
});
