import { createHash } from 'node:crypto';
import type { DeadLetter, DeadLetterBox } from '../../index.ts';
import { general } from '../general.ts';
import type { Place, Settings } from './options.ts';
import { shown, withoutSecretsIn } from './redact.ts';
import { Refusal } from './security.ts';

/** Letters that are read for one look or one action, the oldest. */
const WINDOW = 10_000;

/** Letters that are read at once. */
const STEP = 500;

/** Letters that one request redrives or removes. */
const AT_ONCE = 1_000;

/** Groups that are shown. */
const MAX_GROUPS = 100;

/** Letters of a group that are shown, the newest. */
const MAX_LETTERS = 20;

/** Characters of an error. */
const MAX_ERROR = 300;

/** Dead letters of the same error. */
interface LetterGroup {
  /** Names the group in requests. */
  readonly key: string;
  readonly error: string;
  readonly code: string | null;
  count: number;
  /** When the first and the last of them died (Unix milliseconds); null where that is not known. */
  first: number | null;
  last: number | null;
  /** Where they came from. */
  readonly origins: string[];
}

/** What the page shows of a place of dead letters. */
export async function lettersIn(
  box: DeadLetterBox,
  place: Place,
  chosen: string | undefined,
  settings: Settings,
): Promise<object> {
  const total = await box.count();
  const groups = new Map<string, LetterGroup>();
  const newest: DeadLetter[] = [];
  let read = 0;
  for await (const letter of oldest(box, Math.min(total, WINDOW))) {
    read++;
    const key = keyOf(letter);
    note(groups, key, letter);
    if (chosen !== undefined && key !== chosen) continue;
    newest.push(letter);
    if (newest.length > MAX_LETTERS) newest.shift();
  }
  const all = [...groups.values()].toSorted((a, b) => b.count - a.count);
  return {
    ...place,
    total,
    read,
    groups: all.slice(0, MAX_GROUPS),
    omitted: Math.max(0, all.length - MAX_GROUPS),
    letters: newest.toReversed().map((letter) => shownLetter(letter, settings)),
  };
}

/** Which letters: one, all of a group, or all. */
export interface LetterChoice {
  readonly id?: string | undefined;
  /** Of the one letter, as it was shown: in a list another one may stand in its place by now. */
  readonly mark?: string | undefined;
  readonly group?: string | undefined;
}

/** Redrives or removes letters, {@link AT_ONCE} at most. Those that come meanwhile, such as redriven ones that died again, are left. */
export async function settleLetters(
  box: DeadLetterBox,
  what: 'redrive' | 'remove',
  { id, mark, group }: LetterChoice,
): Promise<{ done: number; left: number }> {
  if (id !== undefined) {
    const [letter] = await box.list({ ids: [id], count: 1 });
    if (letter === undefined || markOf(letter) !== mark)
      throw new Refusal(409, 'this dead letter is not there any more');
    return { done: await box[what]({ ids: [id] }), left: 0 };
  }
  const ids: string[] = [];
  let left = 0;
  for await (const letter of oldest(box, Math.min(await box.count(), WINDOW))) {
    if (group !== undefined && keyOf(letter) !== group) continue;
    if (what === 'redrive' && letter.origin === undefined) continue;
    if (ids.length < AT_ONCE) ids.push(letter.id);
    else left++;
  }
  return { done: ids.length === 0 ? 0 : await box[what]({ ids }), left };
}

async function* oldest(box: DeadLetterBox, max: number): AsyncGenerator<DeadLetter> {
  let left = max;
  let after: string | undefined;
  while (left > 0) {
    const page = await box.list({
      count: Math.min(STEP, left),
      ...(after === undefined ? {} : { after }),
    });
    yield* page;
    left -= page.length;
    after = page.at(-1)?.id;
    if (page.length === 0) return;
  }
}

function note(groups: Map<string, LetterGroup>, key: string, letter: DeadLetter): void {
  const at = letter.diedAt?.getTime() ?? null;
  let group = groups.get(key);
  if (group === undefined) {
    const error = withoutSecretsIn(errorOf(letter)).slice(0, MAX_ERROR);
    group = {
      ...{ key, error, code: letter.errorCode ?? null },
      ...{ count: 0, first: at, last: at, origins: [] },
    };
    groups.set(key, group);
  }
  group.count++;
  if (at !== null) {
    group.first = Math.min(group.first ?? at, at);
    group.last = Math.max(group.last ?? at, at);
  }
  const origin = originOf(letter);
  if (origin !== null && group.origins.length < 5 && !group.origins.includes(origin))
    group.origins.push(origin);
}

function shownLetter(letter: DeadLetter, { redact, bodies }: Settings): object {
  const { id, error, errorCode, deliveries, originId, group, diedAt } = letter;
  return {
    id,
    key: keyOf(letter),
    mark: markOf(letter),
    error: error === undefined ? null : withoutSecretsIn(error).slice(0, 2_000),
    code: errorCode ?? null,
    deliveries,
    origin: originOf(letter),
    originId: originId ?? null,
    group: group ?? null,
    diedAt: diedAt?.getTime() ?? null,
    ...shown(letter, redact, bodies),
  };
}

/** Tells letters apart that have the same place one after the other. */
function markOf({ error, originId, diedAt, headers }: DeadLetter): string {
  return digest(JSON.stringify([error, originId, diedAt, headers]));
}

function originOf({ origin }: DeadLetter): string | null {
  if (origin === undefined) return null;
  return 'stream' in origin ? `stream ${origin.stream}` : `list ${origin.list}`;
}

/** A name for the group of a letter that tells nothing of its error: it stands in URLs. */
function keyOf(letter: DeadLetter): string {
  return digest(`${letter.errorCode ?? ''}\n${errorOf(letter)}`);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Of a long text the beginning, so that a letter does not cost more than it shows. */
function errorOf({ error }: DeadLetter): string {
  return general(error?.slice(0, 2 * MAX_ERROR));
}
