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
    if (messageOf(cause) === 'Connection is closed.')
      throw new ConnectionError(address, `the connection to Redis at ${address} was lost`, {
        cause,
      });
    if ((cause as Error).name !== 'ReplyError') throw cause;
    const message = `${describe(target)} cannot be read: ${messageOf(cause)}`;
    if (isPassing(cause)) throw new ConnectionError(address, message, { cause });
    throw new SetupError(message, { cause });
  }
}

/** Adds the channel's name to a refusal of the server, which names none. */
export async function subscribed(confirmed: Promise<void>, name: string): Promise<void> {
  try {
    await confirmed;
  } catch (cause) {
    if (cause instanceof RedstartError) throw cause;
    throw new SetupError(`channel '${name}' cannot be subscribed to: ${messageOf(cause)}`, {
      cause,
    });
  }
}
