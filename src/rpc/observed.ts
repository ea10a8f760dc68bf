import type { PublishCommand } from '../api/middleware.ts';
import type { Observers, SendEvent } from '../api/observer.ts';
import { monotonicTime } from '../internal/clock.ts';
import type { Headers } from '../message/headers.ts';

/** Sends one message, call or answer while somebody observes: observers may add headers, and see how it ended. */
export async function observed<T>(
  observers: Observers,
  command: PublishCommand,
  send: () => Promise<T>,
): Promise<T> {
  const end = endOf(observers, command);
  try {
    const reply = await observers.send(eventOf(command), send);
    end(undefined);
    return reply;
  } catch (error) {
    end(error);
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
        if (result.done === true) end(undefined);
        return result;
      } catch (error) {
        end(error);
        throw error;
      }
    },
    return: async () => {
      end(undefined);
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
      command.headers = { ...headers, ...command.headers };
    },
  };
}

/** Emits the end of a message or a call, once. */
function endOf(observers: Observers, command: PublishCommand): (error: unknown) => void {
  const start = monotonicTime();
  let isEnded = false;
  return (error) => {
    if (isEnded) return;
    isEnded = true;
    const { type, to, body, correlationId, headers } = command;
    const milliseconds = monotonicTime() - start;
    const about = { to, body, correlationId, headers, error, milliseconds };
    if (type === 'request') observers.emit('called', about);
    else observers.emit('published', { type, ...about });
  };
}
