import { messageOf } from '../../errors.ts';

/** Errors that do not pass with time, by their first word, and what to do about them. */
const ADVICE: Readonly<Record<string, string>> = {
  WRONGTYPE:
    'the key holds something of another type: delete or rename it, or give the subscriber another name',
  NOAUTH:
    'the server wants a password: put it into the URL (redis://user:password@host:port) or into the connection options',
  WRONGPASS:
    'user name or password are wrong, or the user is disabled: correct the connection or the user (ACL SETUSER)',
  NOPERM: 'the user lacks a right: grant it (ACL SETUSER), or connect as another user',
};

/** What to do about an error that does not pass by itself; undefined where trying again helps. */
export function adviceOn(error: unknown): string | undefined {
  return ADVICE[/^[A-Z]+/.exec(messageOf(error))?.[0] ?? ''];
}

/** By their first word. */
const PASSING =
  /^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|UNBLOCKED|BUSY|OOM|NOREPLICAS|MISCONF)\b/;

/** Whether the server refuses for a while: it changes its role, loads its data, is full or busy. */
export function isPassing(error: unknown): boolean {
  return PASSING.test(messageOf(error));
}

/** What an error of ioredis may hold: the command that was refused, and the errors that led to it. */
interface Refusal {
  readonly command?: { readonly name?: unknown; args?: unknown };
  readonly lastNodeError?: unknown;
  readonly errors?: unknown;
  readonly cause?: unknown;
}

/** The errors within an error that are looked through for passwords. */
const MAX_DEPTH = 8;

/**
 * Removes the password from the error of a refused login, and from the errors within it: ioredis keeps
 * the command in them, and loggers print it.
 */
export function withoutPassword<E>(error: E, depth = 0): E {
  if (typeof error !== 'object' || error === null || depth === MAX_DEPTH) return error;
  const { command, lastNodeError, errors, cause } = error as Refusal;
  if (command !== undefined && /^(auth|hello)$/i.test(String(command.name))) command.args = [];
  for (const inner of [lastNodeError, cause, ...(Array.isArray(errors) ? errors : [])])
    withoutPassword<unknown>(inner, depth + 1);
  return error;
}

/** Whether the server refused the database of the connection: ioredis would go on with database 0. */
export function isDatabaseRefusal(error: unknown): boolean {
  const { command } = (error ?? {}) as Refusal;
  return String(command?.name).toLowerCase() === 'select';
}
