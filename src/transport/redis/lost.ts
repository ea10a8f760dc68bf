import { ConnectionError, RedstartError, SetupError, messageOf } from '../../errors.ts';

/** What ioredis 5 says of a command whose connection was lost, as an error that names the server. */
export async function orLost<T>(address: string, sent: Promise<T>): Promise<T> {
  try {
    return await sent;
  } catch (error) {
    if (messageOf(error) !== 'Connection is closed.') throw error;
    const message = `the connection to Redis at ${address} was lost`;
    throw new ConnectionError(address, message, { cause: error });
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
