import { inspect } from 'node:util';
import { AppError, RedstartError, RemoteError, RpcError, messageOf } from '../errors.ts';

/** The command line itself is wrong. */
export class UsageError extends Error {}

/** What was named is not there. */
export class NotThereError extends Error {}

/** What a command ends with. */
export const EXIT = {
  ok: 0,
  /** A remote error, an app that failed, a letter that is not there. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Nobody answered: too late, or nobody is there. */
  noAnswer: 3,
  /** Redis cannot be reached, or refused. */
  redis: 4,
} as const;

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  // First: one of redstart's own errors keeps its class and code when it comes from the other end.
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

/** What stderr is told: a line for what is known, everything for what is not. */
export function tell(error: unknown): string {
  if (error instanceof RpcError) return remote(error.code, error.message, error.data);
  if (error instanceof RemoteError) {
    const { remoteName, remoteCode, message, data } = error;
    return remote(remoteCode ?? remoteName, message, data);
  }
  const isPlain = error instanceof UsageError || error instanceof NotThereError;
  // A hook of the app's is its author's code: where it failed is of interest.
  const origin = error instanceof AppError ? error.cause : error;
  const isKnown = origin instanceof RedstartError;
  return isPlain || isKnown || isRefusal(error) ? messageOf(error) : inspect(error);
}

function remote(code: string, message: string, data: unknown): string {
  return `remote error ${code}: ${message}${data === undefined ? '' : ` ${JSON.stringify(data)}`}`;
}

/** What Redis said no to; by name, as ioredis has several classes of it. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}
