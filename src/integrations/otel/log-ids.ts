import { context, isSpanContextValid, trace } from '@opentelemetry/api';
import type { Logger } from '../../index.ts';

/**
 * A logger whose every line has `trace_id` and `span_id` of the span that is active: for the broker's
 * option `logger`, so that `ctx.logger` and the broker's own lines about a message have the ids of
 * the span of that message. A field of the line's own wins.
 */
export function withTraceIds(logger: Logger): Logger {
  const bind =
    (level: keyof Logger) =>
    (given: object | string, message?: string): void => {
      const ids = activeIds();
      if (ids === undefined) logger[level](given, message);
      else if (typeof given === 'string') logger[level](ids, given);
      else if (given instanceof Error) logger[level]({ ...ids, err: given }, message);
      else logger[level]({ ...ids, ...given }, message);
    };
  return { debug: bind('debug'), info: bind('info'), warn: bind('warn'), error: bind('error') };
}

function activeIds(): { trace_id: string; span_id: string } | undefined {
  const active = trace.getSpanContext(context.active());
  if (active === undefined || !isSpanContextValid(active)) return undefined;
  return { trace_id: active.traceId, span_id: active.spanId };
}
