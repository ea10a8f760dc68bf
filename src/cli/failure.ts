import { inspect } from 'node:util';
import { visible } from '../internal/visible.ts';
import { AppError, RedstartError, RemoteError, RpcError, messageOf } from '../errors.ts';

/** The command line itself is wrong. */
export class UsageError extends Error {}

/** A dead letter that was named does not exist. */
export class NotThereError extends Error {}

/** The exit codes of the commands. */
export const EXIT = {
  ok: 0,
  /** A remote error, an app that failed, or a dead letter that does not exist. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No answer in time, or no responder. */
  noAnswer: 3,
  /** Redis cannot be reached, or refused a command. */
  redis: 4,
} as const;

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  // Tested first: an error that another process sent may have a class and a code of redstart, such as SETUP.
  if (error instanceof RemoteError || error instanceof RpcError) return EXIT.failed;
  if (isRefusal(error)) return EXIT.redis;
  if (!(error instanceof RedstartError)) return EXIT.failed;
  switch (error.code) {
    case 'SETUP':
    case 'ENCODE':
      return EXIT.usage;
    case 'RPC_TIMEOUT':
    case 'NO_RESPONDERS':
      return EXIT.noAnswer;
    case 'CONNECTION':
    case 'SEND':
      return EXIT.redis;
    default:
      return EXIT.failed;
  }
}

/** The text for stderr: one line for an error of redstart or Redis, else also the stack. */
export function errorText(error: unknown): string {
  if (error instanceof RpcError) return remoteErrorText(error.code, error.message, error.data);
  if (error instanceof RemoteError) {
    const { remoteName, remoteCode, message, data } = error;
    return remoteErrorText(remoteCode ?? remoteName, message, data);
  }
  const isPlain = error instanceof UsageError || error instanceof NotThereError;
  // The error of a hook is one of the app's own code, so its stack is shown.
  const origin = error instanceof AppError ? error.cause : error;
  const isKnown = origin instanceof RedstartError;
  return isPlain || isKnown || isRefusal(error) ? messageOf(error) : inspect(error);
}

function remoteErrorText(code: string, message: string, data: unknown): string {
  // In one line: a line end in it could begin a line that looks like one of this command.
  return visible(
    `remote error ${code}: ${message}${data === undefined ? '' : ` ${JSON.stringify(data)}`}`,
  );
}

/** Whether Redis refused a command. Compares the name, because ioredis has several classes of this error. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}
