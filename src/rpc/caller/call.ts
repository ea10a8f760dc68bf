import { monotonicTime } from '../../internal/clock.ts';
import type { ServerClock } from '../../transport/server-clock.ts';
import type { ReceivedMessage } from '../../message/message.ts';
import type { PublishCommand } from '../../api/middleware.ts';
import type { Encoder } from '../../message/encoder.ts';
import type { Validate } from '../../message/schema.ts';

/** A call that is to be sent. */
export interface CallCommand extends PublishCommand {
  /** Its id. Only who has it can answer or cancel the call, so it cannot be guessed. */
  readonly call: string;
  /** Milliseconds; `null` waits for ever. */
  readonly timeout: number | null;
  /** When the caller of the message that is being handled leaves, in monotonic milliseconds: the call is not handled later. */
  readonly endsBy?: number | undefined;
  /** When it aborts, the call rejects with its reason and the handler's signal aborts too. */
  readonly signal: AbortSignal | undefined;
  /** Checks the answer's body. */
  readonly validate: Validate | undefined;
  readonly encoder: Encoder;
  /** Resolve with the whole message, not with its body alone. */
  readonly whole: boolean;
  /** Have the answer sent to a channel that only this call listens to. */
  readonly dedicated: boolean;
  /** Sends no request: asks for the answer of a call with the same id, which runs or has ended. */
  readonly asks?: boolean;
}

/** The deadline of a call as its header: when it ends, in monotonic milliseconds, or sooner, when the caller of the handled message leaves. */
export function deadlineOf(
  { endsBy = Infinity }: CallCommand,
  end: number,
  clock: ServerClock,
): string {
  return String(clock.in(Math.min(end, endsBy) - monotonicTime()));
}

/** Is told once how a call has ended, before its caller is: observers see it then. */
export interface CallEnd {
  /** `error`: what the call rejects with; undefined where an answer came. */
  emit(error: unknown): void;
}

/**
 * A call of any kind that waits in the {@link CallTable}. Each method but the last two takes one
 * message that arrived for this call.
 */
export interface WaitingCall {
  readonly command: CallCommand;
  /** An answer with a value. */
  value(message: ReceivedMessage): void;
  /** An answer with an error. */
  error(message: ReceivedMessage): void;
  /** A receiver will not answer. */
  declined(message: ReceivedMessage): void;
  /** One item of a stream. */
  item(message: ReceivedMessage): void;
  /** The end of a stream. */
  end(message: ReceivedMessage): void;
  /** A responder listens at the inbox `from`, for cancellation and credit. */
  taken(from: string, message: ReceivedMessage): void;
  /** The connection was lost and made again: messages may be missing. */
  interrupted(): void;
  /** The broker closes: the call ends with a `BrokerClosedError`. */
  close(): void;
}
