import type { Message } from '../../message/message.ts';
import type { PublishCommand } from '../../api/middleware.ts';
import type { Encoder } from '../../message/encoder.ts';
import type { Validate } from '../../message/schema.ts';

/** A call on its way out. */
export interface CallCommand extends PublishCommand {
  /** Its number, from `Calls.reserve`. */
  readonly call: number;
  /** Milliseconds; `null` waits for ever. */
  readonly timeout: number | null;
  /** Gives up when it aborts, and has the handler's signal abort. */
  readonly signal: AbortSignal | undefined;
  /** Checks the answer's body. */
  readonly validate: Validate | undefined;
  readonly encoder: Encoder;
  /** Resolve with the whole message, not with its body alone. */
  readonly whole: boolean;
}

/** A call with more than one answer: a stream, a gathering. Each method takes one message to it. */
export interface Conversation {
  readonly command: CallCommand;
  /** A plain answer. */
  value(message: Message): void;
  error(message: Message): void;
  declined(message: Message): void;
  item(message: Message): void;
  end(message: Message): void;
  /** A responder says where it can be spoken to. */
  taken(from: string, message: Message): void;
  /** The connection broke and was made again: messages may be missing. */
  interrupted(): void;
  /** Nothing more will come. */
  close(reason: Error): void;
}
