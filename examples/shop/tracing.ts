// OpenTelemetry for one process that looks at its own spans. A service exports them instead: it registers
// @opentelemetry/sdk-node with an OTLP exporter, and nothing else changes.
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

export interface Tracing {
  /** The first trace: one line for each span, indented by its depth. */
  first(): string[];
}

export function startTracing(): Tracing {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  return {
    first() {
      const all = exporter.getFinishedSpans().toSorted(byStart);
      const [first] = all;
      const childrenOf = (parent: string | undefined, depth: number): string[] =>
        all
          .filter((span) => span.spanContext().traceId === first?.spanContext().traceId)
          .filter((span) => span.parentSpanContext?.spanId === parent)
          .flatMap((span) => [
            `${'  '.repeat(depth)}${span.name} ${handlerOf(span)}`.trimEnd(),
            ...childrenOf(span.spanContext().spanId, depth + 1),
          ]);
      return childrenOf(undefined, 0);
    },
  };
}

function byStart({ startTime: [a, b] }: ReadableSpan, { startTime: [c, d] }: ReadableSpan): number {
  return a - c || b - d;
}

/** The class and method of a span that is a handler's. */
function handlerOf(span: ReadableSpan): string {
  const handler = span.attributes['redstart.handler'];
  return handler === undefined ? '' : `(${String(handler)})`;
}
