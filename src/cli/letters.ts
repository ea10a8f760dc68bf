import { setTimeout as sleep } from 'node:timers/promises';
import type { DeadLetter, DeadLetterBox, DeadLetterChoice } from '../index.ts';
import { general } from '../integrations/general.ts';

/** Letters that died of the same error. */
interface LetterGroup {
  /** Without numbers, ids and quoted texts, which differ from one to the next. */
  readonly error: string;
  readonly count: number;
  /** Ids of the first and the last of them, and when they died. */
  readonly oldest: { readonly id: string; readonly diedAt: string | undefined };
  readonly newest: { readonly id: string; readonly diedAt: string | undefined };
}

/** The errors of dead letters, the most frequent first. */
export function groupsOf(letters: readonly DeadLetter[]): LetterGroup[] {
  const groups = new Map<string, LetterGroup>();
  for (const { error, id, diedAt } of letters) {
    const name = general(error);
    const at = { id, diedAt: diedAt?.toISOString() };
    const known = groups.get(name);
    groups.set(name, {
      error: name,
      count: (known?.count ?? 0) + 1,
      oldest: known?.oldest ?? at,
      newest: at,
    });
  }
  return [...groups.values()].toSorted((a, b) => b.count - a.count);
}

/** Sends letters back, `rate` a second at most, the oldest first. Those that come meanwhile are left. */
export async function redriveSlowly(
  box: DeadLetterBox,
  { ids, error }: DeadLetterChoice,
  rate: number,
  isList: boolean,
): Promise<number> {
  const chunk = Math.max(1, Math.floor(rate / 10));
  const choice = error === undefined ? {} : { error };
  let left = ids?.length ?? (await box.list({ ...choice, count: Number.MAX_SAFE_INTEGER })).length;
  let after: string | undefined;
  let sent = 0;
  while (left > 0) {
    const began = performance.now();
    const count = Math.min(chunk, left);
    const next =
      ids === undefined
        ? (await box.list({ ...choice, count, ...(after !== undefined && { after }) })).map(
            ({ id }) => id,
          )
        : ids.slice(ids.length - left, ids.length - left + count);
    if (next.length === 0) break;
    // The ids of a list are places: those behind move up by as many as were taken away before.
    const moved = ids === undefined || !isList ? next : next.map((id) => String(Number(id) - sent));
    const gone = await box.redrive({ ids: moved });
    sent += gone;
    left -= next.length;
    const last = next.at(-1) as string;
    after = isList ? placeBefore(Number(last) + 1 - gone) : last;
    if (left > 0)
      await sleep(Math.max(0, (next.length * 1_000) / rate - (performance.now() - began)));
  }
  return sent;
}

/** The id before a place of a list; undefined for the first. */
function placeBefore(place: number): string | undefined {
  return place <= 0 ? undefined : String(place - 1);
}
