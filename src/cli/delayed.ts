import type { DelayedBox } from '../index.ts';
import { command, wholeNumber, type Command, type Options } from './command.ts';
import { KIND_OPTIONS, URL_OPTION, destination, withBroker } from './connection.ts';
import { EXIT, NotThereError } from './failure.ts';
import { print } from './output.ts';

const OPTIONS = { ...KIND_OPTIONS, ...URL_OPTION } as const satisfies Options;

interface Where {
  readonly channel?: boolean;
  readonly list?: boolean;
  readonly stream?: boolean;
  readonly url?: string;
}

const ls = command({
  name: 'delayed ls',
  operands: ['<address>'],
  summary: 'list delayed messages, those due first at the top',
  text: `Prints one line of JSON for each, without body and headers unless --all is given.

  redstart delayed ls mails --stream --count 20`,
  options: {
    count: { type: 'string', value: 'n', text: 'the largest number to print (default: 100)' },
    skip: { type: 'string', value: 'n', text: 'how many to skip' },
    all: { type: 'boolean', text: 'print body and headers, too' },
    ...OPTIONS,
  },
  run: ([name = ''], { count, skip, all, ...where }) =>
    withBox(name, where, async (box) => {
      const max = wholeNumber(count, 'count') ?? 100;
      const found = await box.list({ count: max, skip: wholeNumber(skip, 'skip') ?? 0 });
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
    withBox(name, where, async (box) => {
      const missing: string[] = [];
      for (const id of ids) if (!(await box.cancel(id))) missing.push(id);
      print(ids.length - missing.length);
      if (missing.length > 0)
        throw new NotThereError(`no message waits with the id ${missing.join(', ')}`);
      return EXIT.ok;
    }),
});

export const delayed: readonly Command[] = [ls, cancel];

function withBox(
  name: string,
  { url, ...kinds }: Where,
  use: (box: DelayedBox) => Promise<number>,
): Promise<number> {
  const to = destination(name, kinds);
  return withBroker(url, (broker) => use(broker.delayed(to)));
}
