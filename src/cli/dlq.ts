import type { DeadLetter, DeadLetterBox } from '../index.ts';
import { command, wholeNumber, type Command, type Options } from './command.ts';
import { URL_OPTION, destination, withBroker } from './connection.ts';
import { EXIT, NotThereError, UsageError } from './failure.ts';
import { logLine, print } from './output.ts';

const OPTIONS = {
  stream: { type: 'boolean', text: 'the address is a stream (the default)' },
  list: { type: 'boolean', text: 'the address is a list' },
  ...URL_OPTION,
} as const satisfies Options;

const ALL = { all: { type: 'boolean', text: 'all that are there' } } as const satisfies Options;

interface Where {
  readonly list?: boolean;
  readonly stream?: boolean;
  readonly url?: string;
}

const ls = command({
  name: 'dlq ls',
  operands: ['<address>'],
  summary: 'list dead letters, the oldest first',
  text: `Prints a line of JSON for each, without body and headers. An id is the dead letter's own in a
stream, and its place, from 0, in a list.

  redstart dlq ls orders:dead --count 20`,
  options: {
    count: { type: 'string', value: 'n', text: 'at most so many (default: 100)' },
    after: { type: 'string', value: 'id', text: 'those after the one with this id' },
    ...OPTIONS,
  },
  run: ([name = ''], { count, after, ...where }) =>
    withBox(name, where, async (box) => {
      const max = wholeNumber(count, 'count') ?? 100;
      const letters = await box.list({ count: max, ...(after !== undefined && { after }) });
      for (const { body: _body, headers: _headers, ...rest } of letters) print(rest);
      return EXIT.ok;
    }),
});

const show = command({
  name: 'dlq show',
  operands: ['<address>', '<id>…'],
  summary: 'print whole dead letters',
  text: 'Prints a line of JSON for each, with body and headers. Exit code 1: one is not there.',
  options: OPTIONS,
  run: ([name = '', ...ids], where) =>
    withBox(name, where, async (box) => {
      for (const letter of await find(box, ids)) print(letter);
      return EXIT.ok;
    }),
});

const redrive = command({
  name: 'dlq redrive',
  operands: ['<address>', '[id]…'],
  summary: 'send dead letters back to where they came from',
  text: `Prints how many were sent back; each is sent before it is removed. What is no dead letter of
redstart's stays. Other groups of a stream get its entry once more, too.

  redstart dlq redrive orders:dead 1700000000000-0
  redstart dlq redrive orders:dead --all`,
  options: { ...ALL, ...OPTIONS },
  run: ([name = '', ...ids], { all, ...where }) =>
    withBox(name, where, async (box) => {
      const letters = await chosen(box, ids, all);
      const sent = await box.redrive(letters);
      print(sent);
      const left = letters === undefined ? await box.count() : letters.length - sent;
      if (left === 0) return EXIT.ok;
      logLine(`${left} left: no dead letters of redstart's, or new ones`);
      return letters === undefined ? EXIT.ok : EXIT.failed;
    }),
});

const remove = command({
  name: 'dlq remove',
  operands: ['<address>', '[id]…'],
  summary: 'delete dead letters',
  text: `Prints how many were deleted.

  redstart dlq remove orders:dead 1700000000000-0 1700000000000-1`,
  options: { ...ALL, ...OPTIONS },
  run: ([name = '', ...ids], { all, ...where }) =>
    withBox(name, where, async (box) => {
      const letters = await chosen(box, ids, all);
      print(letters === undefined ? await removeAll(box) : await box.remove(letters));
      return EXIT.ok;
    }),
});

export const dlq: readonly Command[] = [ls, show, redrive, remove];

function withBox(
  name: string,
  { url, ...kinds }: Where,
  use: (box: DeadLetterBox) => Promise<number>,
): Promise<number> {
  const to = destination(name, kinds);
  const address = 'channel' in to ? { stream: name } : to;
  return withBroker(url, (broker) => use(broker.deadLetters(address)));
}

/** The dead letters with these ids; undefined for all of them (`--all`). */
async function chosen(
  box: DeadLetterBox,
  ids: readonly string[],
  all: boolean | undefined,
): Promise<DeadLetter[] | undefined> {
  if (ids.length > 0 === (all === true))
    throw new UsageError('say which dead letters: their ids, or --all');
  return all === true ? undefined : find(box, ids);
}

/** The dead letters with these ids. Throws `NotThereError` if one is missing, before any of them is changed. */
async function find(box: DeadLetterBox, ids: readonly string[]): Promise<DeadLetter[]> {
  return Promise.all(
    [...new Set(ids)].map(async (id) => {
      const after = idBefore(id);
      const [letter] = await box.list({ count: 1, ...(after !== undefined && { after }) });
      if (letter?.id !== id) throw new NotThereError(`there is no dead letter with the id ${id}`);
      return letter;
    }),
  );
}

/** Removes as many as there are now; those that arrive meanwhile stay. */
async function removeAll(box: DeadLetterBox): Promise<number> {
  let left = await box.count();
  let removed = 0;
  while (left > 0) {
    const page = await box.list({ count: Math.min(left, 100) });
    if (page.length === 0) break;
    removed += await box.remove(page);
    left -= page.length;
  }
  return removed;
}

/** The next smaller id, of a stream entry or of a position in a list; undefined before the first. */
function idBefore(id: string): string | undefined {
  const [, ms, seq] = /^(\d{1,16})(?:-(\d{1,20}))?$/.exec(id) ?? [];
  if (ms === undefined) throw new UsageError(`'${id}' is not an id, as 'dlq ls' prints them`);
  if (seq === undefined) return ms === '0' ? undefined : String(Number(ms) - 1);
  if (BigInt(seq) > 0n) return `${ms}-${BigInt(seq) - 1n}`;
  return ms === '0' ? undefined : `${Number(ms) - 1}-${2n ** 64n - 1n}`;
}
