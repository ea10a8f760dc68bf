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
   * The id that the sender gave the message (`message_id`), the same each time that it is delivered. Of
   * a stream's entry without one, the entry's id. Of any other message without one, a new random id at
   * each delivery.
   */
  readonly messageId: string;
  readonly contentType: string | undefined;
  /** The sender's `key`; `undefined` where it gave none. */
  readonly key: string | undefined;
  /** The address that the sender wants the answer at. */
  readonly replyTo: string | undefined;
}
