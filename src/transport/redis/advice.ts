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

/** Removes the password from the error of a refused login: ioredis keeps the command in it, and loggers print it. */
export function withoutPassword(error: Error): Error {
  const { command } = error as { command?: { name: string; args: unknown[] } };
  if (command !== undefined && /^(auth|hello)$/i.test(command.name)) command.args = [];
  return error;
}
