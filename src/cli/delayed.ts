import type { DelayedBox, RedisBroker } from '../index.ts';
import { command, wholeNumber, type Command, type Options } from './command.ts';
import {
  JSON_OPTION,
  KIND_OPTIONS,
  PREFIX_OPTION,
  URL_OPTION,
  destination,
  withBroker,
} from './connection.ts';
import { EXIT, NotThereError } from './failure.ts';
import { logLine, print } from './output.ts';

const OPTIONS = {
  ...KIND_OPTIONS,
  ...PREFIX_OPTION,
  ...JSON_OPTION,
  ...URL_OPTION,
} as const satisfies Options;

interface Where {
  readonly channel?: boolean;
  readonly list?: boolean;
  readonly stream?: boolean;
  readonly prefix?: string;
  /** What is printed is JSON anyway. */
  readonly json?: boolean;
  readonly url?: string;
}

const ls = command({
  name: 'delayed ls',
  operands: ['<address>'],
  summary: 'list delayed messages, those due first at the top',
  text: `Prints one line of JSON for each, without body and headers unless --all is given.
Exit code 1: nothing waits there, and something waits at an address of another kind with this name.

  redstart delayed ls mails --stream --count 20`,
  options: {
    count: { type: 'string', value: 'n', text: 'the largest number to print (default: 100)' },
    skip: { type: 'string', value: 'n', text: 'how many to skip' },
    all: { type: 'boolean', text: 'print body and headers, too' },
    ...OPTIONS,
  },
  run: ([name = ''], { count, skip, all, ...where }) =>
    withBox(name, where, async (box, place) => {
      const max = wholeNumber(count, 'count') ?? 100;
      const skipped = wholeNumber(skip, 'skip') ?? 0;
      const found = await box.list({ count: max, skip: skipped });
      if (found.length === 0 && skipped === 0) {
        const hint = await place.others();
        if (hint !== '') throw new NotThereError(`no message waits for ${place.name}${hint}`);
        logLine(`no message waits for ${place.name}`);
      }
      for (const { id, due, body, headers } of found)
        print(all === true ? { id, due, body, headers } : { id, due });
      return EXIT.ok;
    }),
});

const cancel = command({
  name: 'delayed cancel',
  operands: ['<address>', '<id>…'],
  summary: 'cancel delayed messages that are not sent yet',
  text: `Prints how many were taken back. Exit code 1: one was sent already, or is not known.

  redstart delayed cancel mails V1StGXR8_Z5jdHi6 --stream`,
  options: OPTIONS,
  run: ([name = '', ...ids], where) =>
    withBox(name, where, async (box, place) => {
      const missing: string[] = [];
      for (const id of ids) if (!(await box.cancel(id))) missing.push(id);
      print(ids.length - missing.length);
      if (missing.length > 0) {
        const hint = await place.others();
        const gone = `no message waits with the id ${missing.join(', ')}`;
        throw new NotThereError(`${gone} for ${place.name}${hint}`);
      }
      return EXIT.ok;
    }),
});

export const delayed: readonly Command[] = [ls, cancel];

/** The place that a command is about. */
interface Place {
  /** Its kind and its name, for people. */
  readonly name: string;
  /** The end of an error text: under which other kinds messages wait for the same name. Empty if there are none. */
  others(): Promise<string>;
}

function withBox(
  name: string,
  { url, prefix = '', json: _json, ...kinds }: Where,
  use: (box: DelayedBox, place: Place) => Promise<number>,
): Promise<number> {
  const to = destination(name, kinds);
  const [kind] = Object.keys(to) as [Kind];
  const run = (broker: RedisBroker): Promise<number> => {
    const others = async (): Promise<string> => {
      const found = await kindsThatWait(broker, name, kind);
      return found.map((other) => `; some wait for the ${other}: give --${other}`).join('');
    };
    return use(broker.delayed(to), { name: `${kind} '${prefix}${name}'`, others });
  };
  return withBroker(url, run, { prefix });
}

const KINDS = ['channel', 'list', 'stream'] as const;
type Kind = (typeof KINDS)[number];

async function kindsThatWait(broker: RedisBroker, name: string, but: Kind): Promise<Kind[]> {
  const found: Kind[] = [];
  for (const kind of KINDS) {
    if (kind === but) continue;
    const box = broker.delayed({ [kind]: name } as { list: string });
    if ((await box.list({ count: 1 })).length > 0) found.push(kind);
  }
  return found;
}
