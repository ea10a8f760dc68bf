import type { PublishCommand } from '../api/middleware.ts';
import type { Observers, SendEvent } from '../api/observer.ts';
import { monotonicTime } from '../internal/clock.ts';
import { EncodeError } from '../errors.ts';
import { pair } from '../message/envelope.ts';
import {
  checkHeaders,
  CONTENT_TYPE,
  CORRELATION_ID,
  headerText,
  MESSAGE_ID,
  type Headers,
} from '../message/headers.ts';
import type { CallEnd } from './caller/call.ts';

/** Sends one message or answer while somebody observes: observers may add headers, and see how it ended. */
export function observed<T>(
  observers: Observers,
  command: PublishCommand,
  send: () => Promise<T>,
): Promise<T> {
  const end = endOf(observers, command);
  const sent = around(observers, command, send, end);
  // Not `async`, to save promises: this runs for every message.
  if (end === undefined) return sent;
  return sent.then(
    (reply) => {
      end.emit(undefined);
      return reply;
    },
    (error: unknown) => {
      end.emit(error);
      throw error;
    },
  );
}

/** The same for a call with one answer, which tells its end itself. */
export function observedCall<T>(
  observers: Observers,
  command: PublishCommand,
  call: (end: CallEnd | undefined) => Promise<T>,
): Promise<T> {
  const end = endOf(observers, command);
  return around(observers, command, () => call(end), end);
}

function around<T>(
  observers: Observers,
  command: PublishCommand,
  send: () => Promise<T>,
  end: End | undefined,
): Promise<T> {
  try {
    const sending = observers.for('send');
    return sending === undefined ? send() : sending.send(eventOf(command), send);
  } catch (error) {
    end?.emit(error);
    throw error;
  }
}

/** The same for a call with a stream of answers: it has ended when the stream has. */
export async function observedStream(
  observers: Observers,
  command: PublishCommand,
  send: () => Promise<AsyncIterator<unknown, undefined>>,
): Promise<AsyncIterator<unknown, undefined>> {
  const end = endOf(observers, command);
  const items = await observers.send(eventOf(command), send);
  return {
    next: async () => {
      try {
        const result = await items.next();
        if (result.done === true) end?.emit(undefined);
        return result;
      } catch (error) {
        end?.emit(error);
        throw error;
      }
    },
    return: async () => {
      end?.emit(undefined);
      return (await items.return?.()) ?? { done: true, value: undefined };
    },
  };
}

function eventOf(command: PublishCommand): SendEvent {
  return {
    type: command.type,
    to: command.to,
    body: command.body,
    correlationId: command.correlationId,
    headers: command.headers,
    addHeaders: (headers: Headers) => {
      expectHarmless(headers);
      if (command.headers !== undefined) checkHeaders(command.headers);
      command.headers = { ...headers, ...command.headers };
    },
  };
}

/** The headers that say how the message is read and what it belongs to. Others of redstart's are never taken from anybody. */
const OWN: ReadonlySet<string> = new Set([CORRELATION_ID, CONTENT_TYPE, MESSAGE_ID]);

/** Throws to the observer whose headers would make the message fail, or another one. Here, because the sender has no part in it. */
function expectHarmless(headers: Headers): void {
  checkHeaders(headers);
  for (const [name, value] of Object.entries(headers)) {
    if (OWN.has(name)) throw new EncodeError(`an observer cannot set the header '${name}'`);
    pair(name, headerText(name, value));
  }
}

/** Undefined where nobody wants to know how the message or call ends. */
function endOf(observers: Observers, command: PublishCommand): End | undefined {
  const listening = observers.for(command.type === 'request' ? 'called' : 'published');
  return listening && new End(listening, command);
}

/** Emits the end of a message or a call, once. */
class End implements CallEnd {
  readonly #observers: Observers;
  readonly #command: PublishCommand;
  readonly #start = monotonicTime();
  #isEnded = false;

  constructor(observers: Observers, command: PublishCommand) {
    this.#observers = observers;
    this.#command = command;
  }

  emit(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const { type, to, body, correlationId, headers } = this.#command;
    const milliseconds = monotonicTime() - this.#start;
    const observers = this.#observers;
    if (type === 'request')
      observers.emit('called', { to, body, correlationId, headers, error, milliseconds });
    else
      observers.emit('published', { type, to, body, correlationId, headers, error, milliseconds });
  }
}
