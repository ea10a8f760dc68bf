// Spans, headers and metrics of `redstart/otel`, seen in exporters that keep them in memory.
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  context,
  metrics,
  propagation,
  trace,
  type Span,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type DataPoint,
} from '@opentelemetry/sdk-metrics';
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace';
import { Redis } from 'ioredis';
import { RedisBroker, Retry, RpcError, type Headers } from 'redstart';
import { telemetry, withTraceIds } from 'redstart/otel';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { redisUrl, unique } from '../support/redis.ts';

const exporter = new InMemorySpanExporter();
const metricExporter = new InMemoryMetricExporter(AggregationTemporality.DELTA);
const reader = new PeriodicExportingMetricReader({
  exporter: metricExporter,
  exportIntervalMillis: 3_600_000,
});

function installSdk(): void {
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  trace.setGlobalTracerProvider(provider);
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(
    new CompositePropagator({
      propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
    }),
  );
}

/** The only span of this name. */
function spanNamed(name: string): ReadableSpan {
  const found = spansNamed(name);
  expect(found.map((span) => span.name)).toEqual([name]);
  return found[0] as ReadableSpan;
}

function spansNamed(name: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.name === name);
}

function idOf(span: ReadableSpan): string {
  return span.spanContext().spanId;
}

function traceOf(span: ReadableSpan): string {
  return span.spanContext().traceId;
}

function parentOf(span: ReadableSpan): string | undefined {
  return span.parentSpanContext?.spanId;
}

function linksOf(span: ReadableSpan): string[] {
  return span.links.map(({ context: linked }) => linked.spanId);
}

/** The tenant in the active baggage. */
function tenantNow(): string | undefined {
  return propagation.getActiveBaggage()?.getEntry('tenant')?.value;
}

function isNoTypeError(error: unknown): boolean {
  return !(error instanceof TypeError);
}

describe('without an SDK', () => {
  it('adds no headers and no spans, and everything works', async () => {
    await using service = new RedisBroker('memory://no-sdk', { observers: [telemetry()] });
    let headers: Headers = {};
    service.subscriber('c', (body, ctx) => {
      ({ headers } = ctx.message);
      return body;
    });
    await service.start();
    expect(await service.publish(1, { channel: 'c', rpc: true, timeout: 20_000 })).toBe(1);
    expect(Object.keys(headers)).not.toContain('traceparent');
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});

describe('with an SDK', () => {
  // After the broker above was made: one that is registered late is used, too.
  beforeAll(installSdk);
  afterEach(() => exporter.reset());

  it('is the SDK that was asked for', async () => {
    trace.getTracer('x').startSpan('x').end();
    const { attributes } = spanNamed('x').resource;
    // `npm run full` runs these tests with SDK 3, too: see test/otel3.
    const major = process.env['REDSTART_OTEL'] === undefined ? '2.' : '3.';
    expect(attributes['telemetry.sdk.version']).toMatch(new RegExp(`^${major}`));
  });

  onBothBackends('one trace', (bench) => {
    it('goes from a gateway through a call, an event, a batch, retries and dead letters', async () => {
      const { broker, name } = bench();
      const [gateway, service] = [
        broker({ observers: [telemetry()] }),
        broker({ observers: [telemetry()] }),
      ];
      const [orders, placed, lines] = [name('orders'), name('placed'), name('lines')];
      const dead = name('dead');
      service.subscriber({ list: orders, title: 'orders' }, async (sku, ctx) => {
        await ctx.publish(sku, { stream: placed });
        return 'accepted';
      });
      const retry = { maxDeliveries: 2, backoff: 10 };
      service.subscriber(
        { stream: placed, group: 'billing', retry, deadLetter: { stream: dead } },
        async (sku, ctx) => {
          if (ctx.message.deliveryCount === 1)
            await service.publishBatch([sku, sku], { list: lines });
          throw new RangeError('no such sku');
        },
      );
      const handled: unknown[] = [];
      service.subscriber({ list: lines, batch: true, maxRecords: 10 }, (all) => {
        handled.push(...(all as unknown[]));
      });
      await Promise.all([gateway.connect(), service.start()]);

      const tracer = trace.getTracer('gateway');
      await tracer.startActiveSpan('POST /orders', async (request) => {
        const call = { list: orders, rpc: true, timeout: 20_000 } as const;
        expect(await gateway.publish('A-1', call)).toBe('accepted');
        request.end();
      });
      await eventually(() => {
        expect(spansNamed(`dead-letter ${dead}`)).toHaveLength(1);
        expect(spansNamed(`process ${placed}`)).toHaveLength(2);
        expect(handled).toHaveLength(2);
      });

      const request = spanNamed('POST /orders');
      const call = spanNamed(`call ${orders}`);
      expect(parentOf(call)).toBe(idOf(request));
      expect(call.kind).toBe(SpanKind.CLIENT);
      expect(call.status.code).toBe(SpanStatusCode.UNSET);
      expect(call.attributes).toMatchObject({
        'messaging.system': 'redis',
        'messaging.operation.name': 'call',
        'messaging.operation.type': 'send',
        'messaging.destination.name': orders,
        'rpc.system.name': 'redstart',
        'rpc.method': orders,
      });

      const order = spanNamed(`process ${orders}`);
      expect(parentOf(order)).toBe(idOf(call));
      expect(linksOf(order)).toEqual([idOf(call)]);
      expect(order.kind).toBe(SpanKind.CONSUMER);
      expect(order.attributes).toMatchObject({
        'messaging.operation.type': 'process',
        'messaging.message.conversation_id': call.attributes['messaging.message.conversation_id'],
        'rpc.system.name': 'redstart',
        'redstart.handler': 'orders',
      });

      const event = spanNamed(`publish ${placed}`);
      expect(parentOf(event)).toBe(idOf(order));
      expect(event.kind).toBe(SpanKind.PRODUCER);

      const [first, second] = spansNamed(`process ${placed}`) as [ReadableSpan, ReadableSpan];
      for (const attempt of [first, second]) {
        expect(parentOf(attempt)).toBe(idOf(event));
        expect(linksOf(attempt)).toEqual([idOf(event)]);
        expect(attempt.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no such sku' });
        expect(attempt.attributes).toMatchObject({
          'error.type': 'RangeError',
          'messaging.consumer.group.name': 'billing',
          'messaging.message.id': expect.stringContaining('-'),
          'redstart.stage': 'handler',
        });
        expect(attempt.events.map((one) => one.name)).toEqual(['exception']);
      }
      expect(first.attributes['redstart.retry.delay']).toBe(10);
      expect(second.attributes['redstart.delivery_count']).toBe(2);

      const sent = spansNamed(`publish ${lines}`);
      expect(sent.map(parentOf)).toEqual([idOf(first), idOf(first)]);
      const batches = spansNamed(`process ${lines}`);
      // One batch, or two of one: its span begins a trace and is linked to what each message was sent in.
      expect(batches.flatMap(linksOf).sort()).toEqual(sent.map(idOf).sort());
      expect(batches.map(parentOf)).toEqual(batches.map(() => undefined));
      expect(
        batches.reduce(
          (all, one) => all + Number(one.attributes['messaging.batch.message_count']),
          0,
        ),
      ).toBe(2);

      const buried = spanNamed(`dead-letter ${dead}`);
      expect(parentOf(buried)).toBe(idOf(second));
      const inTrace = [request, call, order, event, first, second, ...sent, buried];
      expect(new Set(inTrace.map(traceOf)).size).toBe(1);
      expect(batches.map(traceOf)).not.toContain(traceOf(request));
      // A dead letter has the headers of its message.
      const [letter] = await service.deadLetters({ stream: dead }).list();
      expect(letter?.headers['traceparent']).toContain(traceOf(request));
      takeLogs();
    });

    it('goes on in a delayed message, which is linked to the span that sent it', async () => {
      const { broker, name } = bench();
      const service = broker({ observers: [telemetry()] });
      const where = name('later');
      service.subscriber({ list: where }, () => undefined);
      await service.start();
      await service.publish(1, { list: where, delay: 50 });
      const later = await eventually(() => spanNamed(`process ${where}`));
      const sent = spanNamed(`publish ${where}`);
      expect(parentOf(later)).toBe(idOf(sent));
      expect(linksOf(later)).toEqual([idOf(sent)]);
    });

    it('is another one for a dead letter that was sent back, linked to the old one', async () => {
      const { broker, name } = bench();
      const service = broker({ observers: [telemetry()] });
      const [where, next] = [name('orders'), name('next')];
      const deadLetter = { stream: name('dead') };
      let isBroken = true;
      service.subscriber(
        { stream: where, group: 'g', retry: false, deadLetter },
        async (_, ctx) => {
          if (isBroken) throw new RangeError('no');
          await ctx.publish(1, { list: next });
          expect(tenantNow()).toBe('acme');
        },
      );
      service.subscriber({ list: next }, () => undefined);
      await service.start();
      const old = '0af7651916cd43dd8448eb211c80319c';
      const headers = { traceparent: `00-${old}-b7ad6b7169203331-01`, baggage: 'tenant=acme' };
      await broker().publish(1, { stream: where, headers });
      const box = service.deadLetters(deadLetter);
      await eventually(async () => expect(await box.count()).toBe(1));
      isBroken = false;
      expect(await box.redrive()).toBe(1);
      await eventually(() => expect(spansNamed(`process ${next}`)).toHaveLength(1));
      const [first, second] = spansNamed(`process ${where}`) as [ReadableSpan, ReadableSpan];
      expect(traceOf(first)).toBe(old);
      expect(first.attributes).not.toHaveProperty('redstart.redriven');
      expect(traceOf(second)).not.toBe(old);
      expect(parentOf(second)).toBeUndefined();
      expect(second.links.map(({ context: linked }) => linked.traceId)).toEqual([old]);
      expect(second.attributes['redstart.redriven']).toBe(true);
      expect(second.status.code).toBe(SpanStatusCode.UNSET);
      // What it leads to is in its trace.
      expect(traceOf(spanNamed(`process ${next}`))).toBe(traceOf(second));
      takeLogs();
    });

    it('is carried by answers, with baggage, and read in headers of any case', async () => {
      const { broker, name } = bench();
      const service = broker({ observers: [telemetry()] });
      const [where, answers] = [name('work'), name('answers')];
      const seen: (string | undefined)[] = [];
      service.subscriber({ list: where }, async () => {
        await Promise.resolve();
        seen.push(tenantNow());
        return 'answer';
      });
      service.subscriber({ list: answers }, () => void seen.push(tenantNow()));
      await service.start();
      const traceId = '0af7651916cd43dd8448eb211c80319c';
      const headers = {
        Traceparent: `00-${traceId}-b7ad6b7169203331-01`,
        Baggage: 'tenant=%C3%A4%20b',
        TraceState: 'x=1',
      };
      // As FastStream sends: no span of ours around it.
      const foreign = broker();
      await foreign.publish(1, { list: where, headers, replyTo: { list: answers } });
      await eventually(() => expect(spansNamed(`process ${answers}`)).toHaveLength(1));
      expect(seen).toEqual(['ä b', 'ä b']);
      const [work, answer] = [spanNamed(`process ${where}`), spanNamed(`process ${answers}`)];
      expect([traceOf(work), traceOf(answer)]).toEqual([traceId, traceId]);
      expect(parentOf(work)).toBe('b7ad6b7169203331');
      expect(parentOf(answer)).toBe(idOf(work));
      // An answer is no span of its own.
      expect(exporter.getFinishedSpans()).toHaveLength(2);
    });
  });

  onBothBackends('spans', (bench) => {
    it('of messages without a trace begin one, wherever the broker was started', async () => {
      const { broker, name } = bench();
      const service = broker({ observers: [telemetry()] });
      service.subscriber({ list: name() }, () => undefined);
      await trace.getTracer('app').startActiveSpan('startup', async (span) => {
        await service.start();
        span.end();
      });
      await broker().publish(1, { list: name() });
      await eventually(() => expect(spansNamed(`process ${name()}`)).toHaveLength(1));
      const span = spanNamed(`process ${name()}`);
      expect(parentOf(span)).toBe(undefined);
      expect(linksOf(span)).toEqual([]);
      expect(traceOf(span)).not.toBe(traceOf(spanNamed('startup')));
    });

    it('begin a trace with a link where links are asked for, and keep the baggage', async () => {
      const { broker, name } = bench();
      const service = broker({ observers: [telemetry({ links: true })] });
      let tenant: string | undefined;
      service.subscriber({ list: name() }, () => {
        tenant = tenantNow();
      });
      await service.start();
      const bags = propagation.createBaggage({ tenant: { value: 'a' } });
      await context.with(propagation.setBaggage(ROOT_CONTEXT, bags), () =>
        service.publish(1, { list: name() }),
      );
      await eventually(() => expect(spansNamed(`process ${name()}`)).toHaveLength(1));
      const [sent, processed] = [spanNamed(`publish ${name()}`), spanNamed(`process ${name()}`)];
      expect(parentOf(processed)).toBe(undefined);
      expect(linksOf(processed)).toEqual([idOf(sent)]);
      expect(tenant).toBe('a');
    });

    it('of calls end with the call: errors, time-outs, nobody, streams', async () => {
      const { broker, name } = bench();
      const service = broker({ observers: [telemetry()] });
      service.subscriber(name('answers'), (body) => {
        if (body === 'no') throw new RpcError('SOLD_OUT', 'sold out');
        return new Promise(() => undefined);
      });
      service.subscriber(name('many'), async function* many() {
        yield 1;
        await Promise.resolve();
        yield 2;
      });
      await service.start();
      const call = (body: string, channel: string, timeout = 10_000): Promise<unknown> =>
        service.publish(body, { channel, rpc: true, timeout }).catch(() => undefined);
      await call('no', name('answers'));
      await call('never', name('answers'), 500);
      await call('x', name('nobody'));
      const calls = [...spansNamed(`call ${name('answers')}`), spanNamed(`call ${name('nobody')}`)];
      expect(calls.map(({ attributes }) => attributes['error.type'])).toEqual([
        'SOLD_OUT',
        'RPC_TIMEOUT',
        'NO_RESPONDERS',
      ]);
      expect(calls.every(({ status }) => status.code === SpanStatusCode.ERROR)).toBe(true);
      // An RpcError is an answer: the handler did what it is for.
      const [answered] = spansNamed(`process ${name('answers')}`);
      expect(answered?.status.code).toBe(SpanStatusCode.UNSET);
      expect(answered?.attributes['rpc.status_code']).toBe('SOLD_OUT');

      const items: unknown[] = [];
      for await (const item of service.requestMany(1, { channel: name('many') })) {
        items.push(item);
        expect(spansNamed(`call ${name('many')}`)).toEqual([]);
      }
      expect(items).toEqual([1, 2]);
      expect(spanNamed(`call ${name('many')}`).status.code).toBe(SpanStatusCode.UNSET);
      takeLogs();
    });

    it('are no errors where the handler asks for the message again, or isError says so', async () => {
      const { broker, name } = bench();
      const service = broker({ observers: [telemetry()] });
      const other = broker({ observers: [telemetry({ isError: isNoTypeError })] });
      const retry = { maxDeliveries: 3, backoff: 5 };
      service.subscriber({ stream: name('s'), group: 'g', retry }, (_, { message }) => {
        if (message.deliveryCount > 1 || asked) return;
        asked = true;
        throw new Retry({ after: 5 });
      });
      let asked = false;
      other.subscriber({ list: name('l') }, () => {
        throw new TypeError('expected');
      });
      await Promise.all([service.start(), other.start()]);
      await service.publish(1, { stream: name('s') });
      await service.publish(1, { list: name('l') });
      await eventually(() => {
        expect(spansNamed(`process ${name('s')}`)).toHaveLength(2);
        expect(spansNamed(`process ${name('l')}`)).toHaveLength(1);
      });
      const all = [...spansNamed(`process ${name('s')}`), spanNamed(`process ${name('l')}`)];
      expect(all.map(({ status }) => status.code)).toEqual(all.map(() => SpanStatusCode.UNSET));
      takeLogs();
    });

    it('have templates for names, and what hooks add', async () => {
      const { broker, name } = bench();
      const observer = telemetry({
        onProcess: (span, { messages }) => span.setAttribute('app.size', messages.length),
        onPublish: (span, { type }) => span.setAttribute('app.type', type),
      });
      const service = broker({ observers: [observer] });
      service.subscriber(`${name('logs')}.{level}`, () => undefined);
      await service.start();
      await service.publish(1, { channel: `${name('logs')}.error` });
      await eventually(() => expect(spansNamed(`process ${name('logs')}.{level}`)).toHaveLength(1));
      expect(spanNamed(`process ${name('logs')}.{level}`).attributes).toMatchObject({
        'messaging.destination.template': `${name('logs')}.{level}`,
        'messaging.destination.name': `${name('logs')}.error`,
        'app.size': 1,
      });
      expect(spanNamed(`publish ${name('logs')}.error`).attributes['app.type']).toBe('publish');
    });
  });

  it('of whoever starts a broker are not kept by its connections and loops', async () => {
    const active: string[] = [];
    let isStarted = false;
    const { sendCommand } = Redis.prototype;
    const spy = vi.spyOn(Redis.prototype, 'sendCommand').mockImplementation(function (
      this: Redis,
      ...args: Parameters<typeof sendCommand>
    ) {
      const span = trace.getActiveSpan() as unknown as ReadableSpan | undefined;
      // While it starts, each group is read once at the start's own request.
      if (isStarted) active.push(`${args[0].name} in ${span?.name ?? 'nothing'}`);
      return sendCommand.apply(this, args);
    });
    const name = unique();
    const service = newBroker(redisUrl());
    service.subscriber({ list: `${name}:l` }, () => undefined);
    service.subscriber({ stream: `${name}:s`, group: 'g' }, () => undefined);
    service.subscriber({ list: `${name}:r`, reliable: true }, () => undefined);
    await trace.getTracer('app').startActiveSpan('startup', async (span) => {
      await service.start();
      isStarted = true;
      await service.publish(1, { list: `${name}:l` });
      span.end();
    });
    const reads = /^(blpop|blmpop|blmove|brpoplpush|xreadgroup)/i;
    await eventually(() =>
      expect(active.filter((one) => reads.test(one)).length).toBeGreaterThan(3),
    );
    spy.mockRestore();
    expect(active.filter((one) => reads.test(one) && !one.endsWith('nothing'))).toEqual([]);
    expect(active).toContainEqual(expect.stringMatching(/^rpush in startup$/i)); // what is sent is the sender's
  });

  it('records the four metrics of the conventions', async () => {
    await reader.forceFlush();
    metricExporter.reset();
    await using service = new RedisBroker('memory://otel-metrics', {
      observers: [telemetry()],
      logger: false,
    });
    service.subscriber({ list: 'l' }, (body) => {
      if (body === 2) throw new RangeError('no');
    });
    await service.start();
    await service.publish(1, { list: 'l' });
    await service.publish(2, { list: 'l' });
    await eventually(() => expect(spansNamed('process l')).toHaveLength(2));
    await reader.forceFlush();
    const exported = metricExporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .filter(({ scope }) => scope.name === 'redstart')
      .flatMap((scope) => scope.metrics);
    const points = (name: string): readonly DataPoint<unknown>[] =>
      exported.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [];
    const sending = {
      'messaging.system': 'redis',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'l',
    };
    expect(points('messaging.client.sent.messages')).toMatchObject([
      { attributes: sending, value: 2 },
    ]);
    expect(points('messaging.client.operation.duration')).toMatchObject([
      {
        attributes: sending,
        value: { count: 2, buckets: { boundaries: expect.arrayContaining([0.005, 7.5]) } },
      },
    ]);
    expect(points('messaging.client.consumed.messages')).toMatchObject([{ value: 2 }]);
    expect(
      points('messaging.process.duration').map(({ attributes }) => attributes['error.type']),
    ).toEqual([undefined, 'RangeError']);
  });

  it('breaks no message, whatever of it throws', async () => {
    const broken = new Proxy({} as Span, {
      get: () => {
        throw new Error('broken span');
      },
    });
    const providers = [
      { getTracer: () => ({ startSpan: () => broken, startActiveSpan: () => undefined as never }) },
      {
        getTracer: () => {
          throw new Error('broken provider');
        },
      },
    ];
    const hooks = {
      onProcess: () => {
        throw new Error('broken hook');
      },
      isError: () => {
        throw new Error('broken isError');
      },
    };
    const lines: string[] = [];
    const warn = (_: object | string, message = ''): void => void lines.push(message);
    await using service = new RedisBroker('memory://broken', {
      observers: [
        ...providers.map((tracerProvider) => telemetry({ tracerProvider })),
        telemetry(hooks),
      ],
      logger: { debug() {}, info() {}, warn, error() {} },
    });
    service.subscriber('c', (body) => {
      if (body === 'bad') throw new RpcError('NO');
      return body;
    });
    await service.start();
    const call = { channel: 'c', rpc: true, timeout: 20_000 } as const;
    for (const body of [1, 2, 3]) expect(await service.publish(body, call)).toBe(body);
    await expect(service.publish('bad', call)).rejects.toMatchObject({ code: 'NO' });
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.every((line) => line.startsWith("an observer's"))).toBe(true);
  });

  it('puts the ids of the span into log lines: of handlers, and of redstart about a message', async () => {
    const lines: Record<string, unknown>[] = [];
    const keep = (fields: object | string, message?: string): void =>
      void lines.push({
        ...(typeof fields === 'string' ? { message: fields } : { ...fields, message }),
      });
    const logger = withTraceIds({ debug: keep, info: keep, warn: keep, error: keep });
    await using service = new RedisBroker('memory://otel-logs', {
      observers: [telemetry()],
      logger,
    });
    service.subscriber({ list: 'l' }, async (_, ctx) => {
      ctx.logger.info('placing');
      await Promise.resolve();
      ctx.logger.warn({ sku: 'A-1', trace_id: 'own' }, 'a field of its own wins');
      throw new Error('no');
    });
    logger.info('outside of a span');
    logger.info({ traceId: 'of the sender' }, 'about a message, outside of its span');
    await service.start();
    await service.publish(1, { list: 'l', correlationId: 'order-7' });
    await eventually(() => expect(spansNamed('process l')).toHaveLength(1));
    const { traceId, spanId } = spanNamed('process l').spanContext();
    const ids = { trace_id: traceId, span_id: spanId, correlationId: 'order-7' };
    expect(lines).toEqual([
      { message: 'outside of a span' },
      { message: 'about a message, outside of its span', trace_id: 'of the sender' },
      expect.objectContaining({ ...ids, message: 'placing' }),
      expect.objectContaining({ ...ids, trace_id: 'own', sku: 'A-1' }),
      expect.objectContaining({ ...ids, err: expect.any(Error) as Error }),
    ]);
  });
});
