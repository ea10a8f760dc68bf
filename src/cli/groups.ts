import type { RedisBroker, StreamGroup } from '../index.ts';
import { command, type Command, type Options } from './command.ts';
import { JSON_OPTION, PREFIX_OPTION, URL_OPTION, withBroker } from './connection.ts';
import { EXIT, NotThereError, UsageError } from './failure.ts';
import { logLine, print, printLines } from './output.ts';
import { kindAt } from './places.ts';
import { columns } from './text.ts';

const OPTIONS = { ...PREFIX_OPTION, ...JSON_OPTION, ...URL_OPTION } as const satisfies Options;

interface Where {
  readonly prefix?: string;
  /** What `seek` and `rm` print is JSON anyway. */
  readonly json?: boolean;
  readonly url?: string;
}

const ls = command({
  name: 'groups ls',
  operands: ['<stream>'],
  summary: 'list the groups of a stream',
  text: `Entries that wait (lag; ? where Redis does not know), that are delivered and not acknowledged
(pending), consumers, and the last entry that was delivered. Exit code 1: there is no such stream.

  redstart groups ls orders`,
  options: OPTIONS,
  run: ([stream = ''], { json = false, ...where }) =>
    withStream(stream, where, async (broker) => {
      const groups = await broker.groups(stream).list();
      if (json) for (const { lag = null, ...group } of groups) print({ ...group, lag });
      else if (groups.length > 0) printLines(columns([HEAD, ...groups.map(rowOf)]));
      if (groups.length === 0) logLine(`stream '${stream}' has no groups`);
      return EXIT.ok;
    }),
});

const seek = command({
  name: 'groups seek',
  operands: ['<stream>', '<group>'],
  summary: 'make a group continue at another place in its stream',
  text: `Use it to skip entries, or to handle old entries again. Pending entries stay pending. You need not
stop consumers. A time is ISO 8601, or a time ago: 90s, 15m, 2h, 1d.

  redstart groups seek orders mail --to end
  redstart groups seek orders mail --to 15m
  redstart groups seek orders mail --to 2026-01-01T00:00Z`,
  options: {
    to: { type: 'string', value: 'where', text: 'start, end, a time, or the id of an entry' },
    ...OPTIONS,
  },
  run: ([stream = '', group = ''], { to, ...where }) => {
    const target = targetIn(to);
    return withStream(stream, where, async (broker) => {
      const groups = broker.groups(stream);
      await expectGroup(groups, stream, group);
      await groups.seek(group, { to: target });
      const moved = (await groups.list()).find(({ name }) => name === group);
      print(moved);
      return EXIT.ok;
    });
  },
});

const rm = command({
  name: 'groups rm',
  operands: ['<stream>', '<group>'],
  summary: 'remove a group from a stream',
  text: `The entries stay in the stream; the group forgets its pending entries. If it has pending entries or
consumers, --force is needed. Stop its subscribers first: a running one creates the group again.

  redstart groups rm orders old-mail`,
  options: {
    force: { type: 'boolean', text: 'also with pending entries and consumers' },
    ...OPTIONS,
  },
  run: ([stream = '', group = ''], { force = false, ...where }) =>
    withStream(stream, where, async (broker) => {
      const groups = broker.groups(stream);
      const { pending, consumers } = await expectGroup(groups, stream, group);
      if (!force && pending + consumers > 0) {
        logLine(
          `group '${group}' has ${pending} pending entries and ${consumers} consumers: give --force to remove it`,
        );
        return EXIT.failed;
      }
      print(await groups.remove(group));
      return EXIT.ok;
    }),
});

export const groups: readonly Command[] = [ls, seek, rm];

const HEAD = ['GROUP', 'LAG', 'PENDING', 'CONSUMERS', 'LAST'];

function rowOf({ name, lag, pending, consumers, lastId }: StreamGroup): (string | number)[] {
  return [name, lag ?? '?', pending, consumers, lastId];
}

/** Throws `NotThereError` where there is no such stream. */
async function withStream(
  stream: string,
  { url, prefix = '' }: Where,
  use: (broker: RedisBroker) => Promise<number>,
): Promise<number> {
  return withBroker(
    url,
    async (broker) => {
      await broker.connect();
      if ((await kindAt(broker.client, prefix + stream)) !== 'stream')
        throw new NotThereError(`there is no stream '${prefix}${stream}'`);
      return use(broker);
    },
    { prefix },
  );
}

async function expectGroup(
  groups: { list(): Promise<StreamGroup[]> },
  stream: string,
  group: string,
): Promise<StreamGroup> {
  const all = await groups.list();
  const found = all.find(({ name }) => name === group);
  if (found !== undefined) return found;
  const known = all.map(({ name }) => name).join(', ') || 'none';
  throw new NotThereError(`stream '${stream}' has no group '${group}' (it has: ${known})`);
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

function targetIn(to: string | undefined): string | Date {
  if (to === undefined) throw new UsageError('groups seek: --to <where> is missing');
  if (to === 'start' || to === 'end' || /^\d{1,20}(-\d{1,20})?$/.test(to)) return to;
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(to) ?? [];
  const time =
    count === undefined
      ? Date.parse(/^\d{4}-\d\d/.test(to) ? to : '')
      : Date.now() - Number(count) * (UNITS[unit] as number) * 1_000;
  if (!Number.isNaN(time) && time >= 0) return new Date(time);
  throw new UsageError(
    `--to: expected start, end, an id, a time (2026-01-01T00:00Z) or how long ago (15m), got '${to}'`,
  );
}
