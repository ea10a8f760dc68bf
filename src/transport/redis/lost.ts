import { ConnectionError, RedstartError, SetupError, messageOf } from '../../errors.ts';
import { describe, type Target } from '../address.ts';
import { isPassing } from './advice.ts';

/**
 * Names the place in an error of the server, which names none, and the server in what ioredis 5 says of a command
 * whose connection was lost. A refusal that passes with time is a `ConnectionError`: another attempt helps.
 */
export async function opened<T>(address: string, target: Target, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (cause) {
    const isLost = messageOf(cause) === 'Connection is closed.';
    if (!isLost && (cause as Error).name !== 'ReplyError') throw cause;
    throw refused(address, `${describe(target)} cannot be read`, cause);
  }
}

/** The same for a channel. What is no answer of the server is said of the connection: another attempt helps. */
export async function subscribed(
  address: string,
  name: string,
  confirmed: Promise<void>,
): Promise<void> {
  try {
    await confirmed;
  } catch (cause) {
    if (cause instanceof RedstartError) throw cause;
    throw refused(address, `channel '${name}' cannot be subscribed to`, cause);
  }
}

function refused(address: string, what: string, cause: unknown): ConnectionError | SetupError {
  if (messageOf(cause) === 'Connection is closed.') return lostConnection(address, cause);
  const message = `${what}: ${messageOf(cause)}`;
  if ((cause as Error).name === 'ReplyError' && !isPassing(cause))
    return new SetupError(message, { cause });
  return new ConnectionError(address, message, { cause });
}

export function lostConnection(address: string, cause?: unknown): ConnectionError {
  return new ConnectionError(address, `the connection to Redis at ${address} was lost`, { cause });
}
