// One trace through services in both languages: redstart's `telemetry` and FastStream's own middleware.
// And the metrics of FastStream's own middleware, beside redstart's page with its names.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { telemetry } from 'redstart/otel';
import { beforeAll, describe, expect, it } from 'vitest';
import { repository } from '../docs/program.ts';
import { parse, type Sample } from '../integrations/exposition.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { ownServer, redisUrl } from '../support/redis.ts';
import { KINDS, TracedService } from './peer.ts';
import { findPython, withModules } from './python.ts';

const python = await withModules(await findPython(), [
  ...['faststream.redis.opentelemetry', 'faststream.redis.prometheus', 'opentelemetry.sdk.trace'],
]);

describe.skipIf(python === undefined)('one trace', () => {
  const service = new TracedService(python as string);
  const exporter = new InMemorySpanExporter();

  beforeAll(() => {
    const spanProcessors = [new SimpleSpanProcessor({ exporter })];
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors }));
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(
      new CompositePropagator({
        propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
      }),
    );
  });

  it.each(KINDS)(
    'goes from Python through TypeScript to Python, with baggage, over a %s',
    async (kind) => {
      const broker = newBroker(redisUrl(), { observers: [telemetry()] });
      const seen: ReturnType<typeof here>[] = [];
      const from = service.at(kind, 'typescript');
      broker.subscriber(from, async (body, ctx) => {
        seen.push(here());
        const baggage = propagation.getActiveBaggage() ?? propagation.createBaggage();
        const more = baggage.setEntry('language', { value: 'typescript' });
        const around = propagation.setBaggage(context.active(), more);
        await context.with(around, () => ctx.publish(body, service.at(kind, 'python')));
      });
      await broker.start();
      const gateway = await service.publish({ kind, body: 'hop', baggage: { tenant: 'Žofie=1' } });
      expect(gateway.trace).toMatch(/^[\da-f]{32}$/);
      const arrived = await eventually(() => {
        const [one] = service.take(kind);
        expect(one).toBeDefined();
        return one;
      });
      expect(seen).toEqual([{ trace: gateway.trace, baggage: { tenant: 'Žofie=1' } }]);
      expect(arrived).toMatchObject({
        trace: gateway.trace,
        baggage: { tenant: 'Žofie=1', language: 'typescript' },
      });
      const name = `publish ${nameOf(service.at(kind, 'python'))}`;
      await eventually(() => {
        const sent = exporter.getFinishedSpans().filter((span) => span.name === name);
        expect(sent.map((span) => span.spanContext().spanId)).toEqual([arrived?.parent]);
      });
      await broker.stop();
    },
  );

  it.each(KINDS)(
    'goes from TypeScript through Python to TypeScript, with baggage, over a %s',
    async (kind) => {
      const broker = newBroker(redisUrl(), { observers: [telemetry()] });
      const seen: ReturnType<typeof here>[] = [];
      broker.subscriber(service.at(kind, 'typescript'), () => void seen.push(here()));
      await broker.start();
      const baggage = propagation.createBaggage({ tenant: { value: 'ä' } });
      const traceId = await trace.getTracer('gateway').startActiveSpan('gateway', async (span) => {
        const around = propagation.setBaggage(context.active(), baggage);
        await context.with(around, () => broker.publish('onward', service.at(kind, 'python')));
        span.end();
        return span.spanContext().traceId;
      });
      await eventually(() => expect(seen).toHaveLength(1));
      expect(seen).toEqual([{ trace: traceId, baggage: { tenant: 'ä', language: 'python' } }]);
      // Python says what it has seen while its message is on the way.
      const there: unknown[] = [];
      await eventually(() => expect(there.push(...service.take(kind))).toBe(1));
      expect(there).toMatchObject([{ trace: traceId, baggage: { tenant: 'ä' } }]);
      await broker.stop();
    },
  );
});

function nameOf(where: { channel: string }): string {
  return Object.values(where)[0] as string;
}

describe.skipIf(python === undefined)('the metrics of FastStream', () => {
  it('are still those that redstart is compared with (faststream-page.txt)', async () => {
    const { url } = await ownServer();
    const program = repository('test/integrations/faststream-page.py');
    const { stdout, stderr } = spawnSync(python as string, [program, url], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const theirs = parse(withoutCreated(stdout));
    const recorded = parse(
      readFileSync(repository('test/integrations/faststream-page.txt'), 'utf8'),
    );
    expect([...theirs.keys()]).toEqual([...recorded.keys()]);
    expect(theirs.size).toBe(9);
    for (const [name, { help, type, samples }] of recorded) {
      expect(theirs.get(name)).toMatchObject({ help, type });
      expect(known(theirs.get(name)?.samples)).toEqual(known(samples));
    }
  });
});

/** prometheus_client's times of creation. */
function withoutCreated(page: string): string {
  return page.replaceAll(/^.*_created\b.*\n/gm, '');
}

/** Times differ from run to run; counts do not. */
function countIn({ name, value }: Sample): number | undefined {
  return /seconds_(bucket|sum)$/.test(name) ? undefined : value;
}

/** What a handler of ours finds in the active context. */
function here(): { trace: string | undefined; baggage: Record<string, string> } {
  const entries = propagation.getActiveBaggage()?.getAllEntries() ?? [];
  return {
    trace: trace.getActiveSpan()?.spanContext().traceId,
    baggage: Object.fromEntries(entries.map(([name, { value }]) => [name, value])),
  };
}

function known(all: readonly Sample[] = []): string[] {
  return all.map((one) => JSON.stringify([one.name, one.labels, countIn(one)])).sort();
}
