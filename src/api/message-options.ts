/** The options that every message may have. */
import type { HeadersInput } from '../message/headers.ts';

export interface MessageOptions {
  /** Headers: strings, numbers and booleans. Each is sent as text of at most 65 535 bytes. Default: none. */
  headers?: HeadersInput;
  /** The id that connects all messages of one operation. Default: a new id; inside a handler, that of the handled message. */
  correlationId?: string;
}

/** Options of messages that subscribers may have to handle in order. */
export interface KeyedOptions extends MessageOptions {
  /**
   * What the message is about, for example `customer-7`. Subscribers with `ordered` handle the messages of one key
   * in order. 1 to 1 024 bytes, sent as the header `redstart-key`. Default: none.
   */
  key?: string;
}
