import { TRACE } from './headers.ts';
import type { ReceivedMessage } from './message.ts';

/** The fields of a log line about one message. */
export interface MessageFields {
  readonly correlationId: string;
  /** The id of a stream's entry. */
  readonly id: string | undefined;
  /** Of the trace that its sender was in, where the message has a `traceparent` (W3C). */
  readonly traceId?: string;
}

/** What every log line about a message says of it. */
export function logFields(message: ReceivedMessage): MessageFields {
  const { correlationId, id } = message;
  const traceId = traceIdIn(message);
  return traceId === undefined ? { correlationId, id } : { correlationId, id, traceId };
}

function traceIdIn({ headers }: ReceivedMessage): string | undefined {
  const [, traceId] = /^[\da-f]{2}-([\da-f]{32})-/.exec(headers[TRACE] ?? '') ?? [];
  return traceId;
}
