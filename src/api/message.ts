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
  /** All headers, including `correlation_id`, `content-type` and `reply_to`. */
  readonly headers: Headers;
  /** The sender's correlation id; a new random id if it sent none. */
  readonly correlationId: string;
  /**
   * The id that the sender gave the message (`message_id`), the same at each delivery. Without it: for a
   * stream entry, the id of the entry; for any other message, a new random id at
   * each delivery.
   */
  readonly messageId: string;
  readonly contentType: string | undefined;
  /** The `key` of the sender; `undefined` if it gave none. */
  readonly key: string | undefined;
  /** The address for the answer. */
  readonly replyTo: string | undefined;
}
