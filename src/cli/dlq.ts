import type { DeadLetter, DeadLetterBox, DeadLetterChoice, RedisBroker } from '../index.ts';
import { command, wholeNumber, type Command, type Options } from './command.ts';
import { JSON_OPTION, PREFIX_OPTION, URL_OPTION, destination, withBroker } from './connection.ts';
import { groupsOf, redriveSlowly } from './letters.ts';
import { EXIT, NotThereError, UsageError } from './failure.ts';
import { logLine, print } from './output.ts';
import { kindAt } from './places.ts';

const OPTIONS = {
  stream: { type: 'boolean', text: 'the address is a stream (the default)' },
  list: { type: 'boolean', text: 'the address is a list' },
  ...PREFIX_OPTION,
  ...JSON_OPTION,
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
  readonly prefix?: string;
  /** What is printed is JSON anyway. */
  readonly json?: boolean;
  readonly url?: string;
}

const ls = command({
  name: 'dlq ls',
  operands: ['<address>'],
  summary: 'list dead letters, the oldest first',
  text: `Prints one line of JSON for each, without body and headers. An id is the dead letter's own in a
stream, and its place, from 0, in a list. With --group-by, a line for each error, the most frequent
first: how many died of it, with the oldest and the newest of them.

  redstart dlq ls orders:dead --count 20
  redstart dlq ls orders:dead --group-by error`,
  options: {
    count: { type: 'string', value: 'n', text: 'the largest number to print (default: 100)' },
    after: { type: 'string', value: 'id', text: 'those after the one with this id' },
    'group-by': {
      type: 'string',
      value: 'error',
      text: 'by error, without numbers, ids and quoted texts (the first 10000)',
    },
    ...ERROR,
    ...OPTIONS,
  },
  run: ([name = ''], { count, after, error, 'group-by': groupBy, ...where }) => {
    if (groupBy !== undefined && groupBy !== 'error')
      throw new UsageError(`--group-by: expected error, got '${groupBy}'`);
    const max = wholeNumber(count, 'count') ?? (groupBy === undefined ? 100 : 10_000);
    if (after !== undefined) checkId(after);
    return withBox(name, where, async (box) => {
      const letters = await box.list({
        count: max,
        ...(after !== undefined && { after }),
        ...(error !== undefined && { error }),
      });
      if (groupBy !== undefined) {
        for (const group of groupsOf(letters)) print(group);
        if (letters.length === max) logLine(`of the first ${max}: there may be more`);
        return EXIT.ok;
      }
      for (const { body: _body, headers: _headers, ...rest } of letters) print(rest);
      return EXIT.ok;
    });
  },
});

const show = command({
  name: 'dlq show',
  operands: ['<address>', '<id>…'],
  summary: 'print whole dead letters',
  text: 'Prints one line of JSON for each, with body and headers. Exit code 1: one is not there.',
  options: OPTIONS,
  run: ([name = '', ...ids], where) => {
    ids.forEach(checkId);
    return withBox(name, where, async (box) => {
      for (const letter of await find(box, ids)) print(letter);
      return EXIT.ok;
    });
  },
});

const redrive = command({
  name: 'dlq redrive',
  operands: ['<address>', '[id]…'],
  summary: 'send dead letters back to where they came from',
  text: `Prints how many were sent back. Each is sent before it is removed. Entries that are not dead letters
of redstart stay. Only the group that gave a message up handles it again.

  redstart dlq redrive orders:dead 1700000000000-0
  redstart dlq redrive orders:dead --error TypeError --dry-run
  redstart dlq redrive orders:dead --all --rate 50`,
  options: {
    ...ALL,
    rate: {
      type: 'string',
      value: 'n',
      text: 'the largest number to send a second, the oldest first',
    },
    'dry-run': { type: 'boolean', text: 'print how many would be sent, and send none' },
    ...OPTIONS,
  },
  run: ([name = '', ...ids], { all, error, rate, 'dry-run': isDry = false, ...where }) => {
    const speed = wholeNumber(rate, 'rate');
    expectChoice(ids, all, error);
    return withBox(name, where, async (box) => {
      const which = await chosen(box, ids, all, error);
      if (isDry) {
        print((await box.list({ ...which, count: Number.MAX_SAFE_INTEGER })).filter(isOurs).length);
        return EXIT.ok;
      }
      const isList = where.list === true;
      const sent = await (speed === undefined
        ? box.redrive(which)
        : redriveSlowly(box, which, speed, isList));
      print(sent);
      if (which.error !== undefined) return EXIT.ok;
      const left = which.ids === undefined ? await box.count() : which.ids.length - sent;
      if (left === 0) return EXIT.ok;
      logLine(`${left} left: no dead letters of redstart's, or new ones`);
      return which.ids === undefined ? EXIT.ok : EXIT.failed;
    });
  },
});

const remove = command({
  name: 'dlq remove',
  operands: ['<address>', '[id]…'],
  summary: 'delete dead letters',
  text: `Prints how many were deleted.

  redstart dlq remove orders:dead 1700000000000-0 1700000000000-1`,
  options: { ...ALL, ...OPTIONS },
  run: ([name = '', ...ids], { all, error, ...where }) => {
    expectChoice(ids, all, error);
    return withBox(name, where, async (box) => {
      print(await box.remove(await chosen(box, ids, all, error)));
      return EXIT.ok;
    });
  },
});

export const dlq: readonly Command[] = [ls, show, redrive, remove];

function withBox(
  name: string,
  { url, prefix = '', json: _json, ...kinds }: Where,
  use: (box: DeadLetterBox) => Promise<number>,
): Promise<number> {
  const to = destination(name, kinds);
  const address = 'channel' in to ? { stream: name } : to;
  const kind = 'list' in address ? 'list' : 'stream';
  return withBroker(
    url,
    async (broker) => {
      await broker.connect();
      const there = await kindAt(broker.client, prefix + name);
      const isOther = there !== undefined && there !== kind;
      const isMissing = there === undefined && (await isNothing(broker, name));
      if (!isOther && !isMissing) return use(broker.deadLetters(address));
      const other = isOther ? `: it is a ${there}, give --${there}` : '';
      const hint = kind === 'list' && !isOther ? ': it does not exist, or it is empty' : other;
      throw new NotThereError(`there is no ${kind} '${prefix}${name}'${hint}`);
    },
    { prefix },
  );
}

async function isNothing({ client, prefix }: RedisBroker, name: string): Promise<boolean> {
  return (await client.exists(prefix + name)) === 0;
}

/** Whether it is a dead letter of redstart's, which can be sent back. */
function isOurs({ origin }: DeadLetter): boolean {
  return origin !== undefined;
}

/** Throws `UsageError` unless operands and options say in one way which dead letters. */
function expectChoice(
  given: readonly string[],
  all: boolean | undefined,
  error: string | undefined,
): void {
  const ways = [given.length > 0, all === true, error !== undefined].filter(Boolean).length;
  if (ways !== 1) throw new UsageError('say which dead letters: their ids, or --error, or --all');
  given.forEach(checkId);
}

/** The dead letters that the operands and options say. Throws `NotThereError` if one is missing, before any of them is changed. */
async function chosen(
  box: DeadLetterBox,
  given: readonly string[],
  all: boolean | undefined,
  error: string | undefined,
): Promise<DeadLetterChoice> {
  if (error !== undefined) return { error };
  if (all === true) return {};
  const ids = [...new Set(given)];
  await find(box, ids);
  return { ids };
}

/** The dead letters with these ids. Throws `NotThereError` if one is missing. */
async function find(box: DeadLetterBox, ids: readonly string[]): Promise<DeadLetter[]> {
  const wanted = [...new Set(ids)];
  const letters = await box.list({ ids: wanted, count: wanted.length });
  const there = new Set(letters.map(({ id }) => id));
  for (const id of wanted) {
    if (!there.has(id)) throw new NotThereError(`there is no dead letter with the id ${id}`);
  }
  return letters;
}

/** Whether it is a number that Redis reads: the two of an id have 64 bits each. */
function fits(number: string): boolean {
  return BigInt(number) < 2n ** 64n;
}

function checkId(id: string): void {
  if (/^\d{1,20}(-\d{1,20})?$/.test(id) && id.split('-').every(fits)) return;
  throw new UsageError(`'${id}' is not an id, as 'dlq ls' prints them`);
}
