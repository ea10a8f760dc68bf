// Messages that are sent later, and messages that expire.
import type { PublishCommand } from '../api/middleware.ts';
import { randomId } from '../internal/ids.ts';
import { TURN, extraHeaders, type Extras } from '../message/extras.ts';
import { EXPIRES } from '../message/headers.ts';
import type { ServerClock } from '../transport/server-clock.ts';
import type { Later } from '../transport/timed.ts';
import type { AnyOptions } from './check.ts';
import type { Verb } from './contracts.ts';
import { idOf } from './identity.ts';

/** Characters of a handle that we make: letters and digits, since a command line takes a leading dash for an option. */
const HANDLE = 16;

/** What a message has beside body and headers; undefined for nearly all messages. */
export function extrasOf(
  options: AnyOptions,
  body: unknown,
  index: number,
  verb: Verb,
): Extras | undefined {
  const { id, idWindow, delay, at, expires } = options;
  if (id === undefined && delay === undefined && at === undefined && expires === undefined)
    return undefined;
  const turn = options[TURN];
  if (turn !== undefined) return { turn };
  const made = id === undefined ? undefined : idOf(id, body, index, verb);
  if (delay === undefined && at === undefined) return { id: made, idWindow, expires };
  const time = at instanceof Date ? at.getTime() : at;
  return { id: made, idWindow, handle: made ?? randomId(HANDLE), delay, at: time, expires };
}

/** When a message is sent; undefined for one that is sent at once. */
export function laterOf({ handle, delay, at }: Extras): Later | undefined {
  return handle === undefined ? undefined : { handle, delay, at };
}

/** Waits until the server's time is known, where one of these messages holds it. */
export async function knowTime(
  commands: readonly PublishCommand[],
  clock: ServerClock,
): Promise<void> {
  if (commands.some(({ extras }) => extras?.expires !== undefined)) await clock.ready();
}

/** The headers by which a message carries its extras. */
export function headersOf(extras: Extras, clock: ServerClock): Record<string, string> {
  const headers = extraHeaders(extras);
  const { delay = 0, at, expires } = extras;
  if (expires === undefined) return headers;
  const due = at ?? clock.now() + delay;
  return { ...headers, [EXPIRES]: String(Math.ceil(due + expires)) };
}
