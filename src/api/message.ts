import type { Headers } from '../message/headers.ts';
import type { MessageSource } from '../message/message.ts';

/** One message as a handler, a middleware or a caller sees it. */
export interface Message<Body = unknown> {
  /** Decoded by content type, and validated where there is a schema. */
  body: Body;
  /** The bytes as they came from Redis: headers and body in one frame. */
  readonly raw: Buffer;
  /** The channel (the real one, also for a pattern), list or stream that it came from. */
  readonly source: MessageSource;
  /** The id of the stream entry; `undefined` for channels and lists. */
  readonly id: string | undefined;
  /** How often Redis has delivered this entry to its group, this time included; 1 elsewhere. */
  readonly deliveryCount: number;
  /** All headers, the system's included (`correlation_id`, `content-type`, `reply_to`). */
  readonly headers: Headers;
  /** The sender's correlation id; where it sent none, an id made up here. */
  readonly correlationId: string;
  readonly contentType: string | undefined;
  /** Where the sender wants its answer. */
  readonly replyTo: string | undefined;
}
