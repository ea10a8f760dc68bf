import { context, isSpanContextValid, trace } from '@opentelemetry/api';
import type { Logger } from '../../index.ts';

/**
 * A logger whose every line has `trace_id` and `span_id` of the span that is active: for the broker's
 * option `logger`, so that `ctx.logger` and the broker's own lines about a message have the ids of
 * the span of that message. A line about a message outside of its span has the `trace_id` that its
 * sender gave it. A field of the line's own wins.
 */
export function withTraceIds(logger: Logger): Logger {
  const bind =
    (level: keyof Logger) =>
    (given: object | string, message?: string): void => {
      const ids = activeIds() ?? idsIn(given);
      if (ids === undefined) logger[level](given, message);
      else if (typeof given === 'string') logger[level](ids, given);
      else if (given instanceof Error) logger[level]({ ...ids, err: given }, message);
      else {
        const { traceId: _, ...fields } = given as { traceId?: string };
        logger[level]({ ...ids, ...fields }, message);
      }
    };
  return { debug: bind('debug'), info: bind('info'), warn: bind('warn'), error: bind('error') };
}

/** The trace of a message's sender, as the broker's lines about the message name it. */
function idsIn(given: object | string): { trace_id: string } | undefined {
  const { traceId } = given as { traceId?: unknown };
  return typeof traceId === 'string' ? { trace_id: traceId } : undefined;
}

function activeIds(): { trace_id: string; span_id: string } | undefined {
  const active = trace.getSpanContext(context.active());
  if (active === undefined || !isSpanContextValid(active)) return undefined;
  return { trace_id: active.traceId, span_id: active.spanId };
}
