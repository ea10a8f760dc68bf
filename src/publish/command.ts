// What a sender is made with, and what it sends.
import type { PublishMiddleware } from '../api/middleware.ts';
import type { Observers } from '../api/observer.ts';
import type { Encoder } from '../message/encoder.ts';
import { ReceivedMessage } from '../message/message.ts';
import type { CallCommand } from '../rpc/caller/call.ts';
import type { GatherCommand } from '../rpc/caller/gather-call.ts';
import type { StreamCommand } from '../rpc/caller/stream-call.ts';
import type { PlainCommand } from './patience.ts';
import type { Session } from '../rpc/session.ts';

export interface SenderOptions {
  /** The open session, or a promise of it while it opens. Throws or rejects if the broker is stopped or cannot connect. */
  readonly session: () => Session | Promise<Session>;
  readonly encoder: Encoder;
  readonly prefix: string;
  /** The publish middleware, the outermost first. Called once, at the first message. */
  readonly middlewares: () => readonly PublishMiddleware[];
  /** The default of a call's `timeout`, in milliseconds; `null` is none. */
  readonly timeout: number | null;
  /** The default of `idWindow`, in milliseconds. */
  readonly idWindow: number;
  readonly observers: Observers;
}

/** One message or call to send. Only a call has `call`, only a stream `window`, only a gather `max`. */
export type Command = PlainCommand | CallCommand | StreamCommand | GatherCommand;

/** The overloads of `Publishing` derive the result's type from the options; the compiler cannot check this here. */
export function asDeclared(result: unknown): never {
  return result as never;
}

/** The answer's body. Middleware may have replaced the message with another value. */
export function bodyOf(answer: unknown): unknown {
  return answer instanceof ReceivedMessage ? answer.body : answer;
}
