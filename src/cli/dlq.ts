import type { DeadLetter, DeadLetterBox, DeadLetterChoice } from '../index.ts';
import { command, wholeNumber, type Command, type Options } from './command.ts';
import { URL_OPTION, destination, withBroker } from './connection.ts';
import { EXIT, NotThereError, UsageError } from './failure.ts';
import { logLine, print } from './output.ts';

const OPTIONS = {
  stream: { type: 'boolean', text: 'the address is a stream (the default)' },
  list: { type: 'boolean', text: 'the address is a list' },
  ...URL_OPTION,
} as const satisfies Options;

const ERROR = {
  error: {
    type: 'string',
    value: 'text',
    text: 'those of one error: its code, its name or a part of its message',
  },
} as const satisfies Options;

const ALL = {
  all: { type: 'boolean', text: 'all that are there' },
  ...ERROR,
} as const satisfies Options;

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
    ...ERROR,
    ...OPTIONS,
  },
  run: ([name = ''], { count, after, error, ...where }) =>
    withBox(name, where, async (box) => {
      const max = wholeNumber(count, 'count') ?? 100;
      const letters = await box.list({
        count: max,
        ...(after !== undefined && { after: checkedId(after) }),
        ...(error !== undefined && { error }),
      });
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
redstart's stays. Of the groups of a stream, only the one that gave it up handles it again.

  redstart dlq redrive orders:dead 1700000000000-0
  redstart dlq redrive orders:dead --error TypeError
  redstart dlq redrive orders:dead --all`,
  options: { ...ALL, ...OPTIONS },
  run: ([name = '', ...ids], { all, error, ...where }) =>
    withBox(name, where, async (box) => {
      const which = await chosen(box, ids, all, error);
      const sent = await box.redrive(which);
      print(sent);
      if (which.error !== undefined) return EXIT.ok;
      const left = which.ids === undefined ? await box.count() : which.ids.length - sent;
      if (left === 0) return EXIT.ok;
      logLine(`${left} left: no dead letters of redstart's, or new ones`);
      return which.ids === undefined ? EXIT.ok : EXIT.failed;
    }),
});

const remove = command({
  name: 'dlq remove',
  operands: ['<address>', '[id]…'],
  summary: 'delete dead letters',
  text: `Prints how many were deleted.

  redstart dlq remove orders:dead 1700000000000-0 1700000000000-1`,
  options: { ...ALL, ...OPTIONS },
  run: ([name = '', ...ids], { all, error, ...where }) =>
    withBox(name, where, async (box) => {
      print(await box.remove(await chosen(box, ids, all, error)));
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

/** The dead letters that the operands and options say. Throws `NotThereError` if one is missing, before any of them is changed. */
async function chosen(
  box: DeadLetterBox,
  given: readonly string[],
  all: boolean | undefined,
  error: string | undefined,
): Promise<DeadLetterChoice> {
  const ways = [given.length > 0, all === true, error !== undefined].filter(Boolean).length;
  if (ways !== 1) throw new UsageError('say which dead letters: their ids, or --error, or --all');
  if (error !== undefined) return { error };
  if (all === true) return {};
  const ids = [...new Set(given)];
  await find(box, ids);
  return { ids };
}

/** The dead letters with these ids. Throws `NotThereError` if one is missing. */
async function find(box: DeadLetterBox, ids: readonly string[]): Promise<DeadLetter[]> {
  const wanted = [...new Set(ids.map(checkedId))];
  const letters = await box.list({ ids: wanted, count: wanted.length });
  const there = new Set(letters.map(({ id }) => id));
  for (const id of wanted) {
    if (!there.has(id)) throw new NotThereError(`there is no dead letter with the id ${id}`);
  }
  return letters;
}

function checkedId(id: string): string {
  if (/^\d{1,20}(-\d{1,20})?$/.test(id)) return id;
  throw new UsageError(`'${id}' is not an id, as 'dlq ls' prints them`);
}
