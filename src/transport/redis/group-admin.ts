import { hostName } from '../../internal/host.ts';
import type { Redis } from 'ioredis';
import { SetupError, messageOf } from '../../errors.ts';
import { randomId } from '../../internal/ids.ts';
import { missingStream, type Report, type StreamSourceOptions } from '../source.ts';
import type { GroupSummary } from '../store.ts';
import { isPassing } from './advice.ts';
import { REMOVE } from './group-scripts.ts';
import { besideKey } from './list-keys.ts';
import { consumerRows, groupRows, type ConsumerRow } from './replies.ts';
import { evenWithoutMemory } from './script.ts';

/** XGROUP CREATE; an existing group stays as it is. */
export async function createGroup(
  client: Redis,
  { name, group, declare }: StreamSourceOptions,
  lastId: string,
): Promise<void> {
  const command = ['XGROUP', 'CREATE', name, group as string, lastId] as const;
  try {
    await evenWithoutMemory(client, name, ...command, ...(declare ? ['MKSTREAM'] : []));
  } catch (cause) {
    const reason = messageOf(cause);
    if (reason.includes('BUSYGROUP')) return;
    if (reason.includes('requires the key to exist')) throw missingStream(name, cause);
    if (isPassing(cause)) throw cause;
    throw new SetupError(`group '${group}' cannot be created on stream '${name}': ${reason}`, {
      cause,
    });
  }
}

/** Creates a group again that has disappeared (flush, fail-over, eviction), from the start of the stream. Returns whether it is there. */
export async function recreateGroup(
  client: Redis,
  options: StreamSourceOptions,
  error: unknown,
  report: Report,
): Promise<boolean> {
  const { group } = options;
  try {
    report(`group '${group}' is gone, it is created again`, error);
    await createGroup(client, { ...options, declare: true }, '0');
    const again = `group '${group}' is there again, from the start of the stream`;
    report(again, undefined, 'info');
    return true;
  } catch {
    return false; // `error` is reported, and the next read tries again
  }
}

/** Matches the names that {@link makeUpName} returns, and those beside a name that another process has. */
const MADE_UP = /-\d+-[\w-]{6}$|~[A-Za-z0-9]{6}$/;

/** A consumer's name that is unique to this reader: host, process and a random end. */
export function makeUpName(): string {
  return `${hostName()}-${process.pid}-${randomId(6)}`;
}

/** Removes consumers with made-up names that have been silent for `idle` milliseconds and own nothing. Returns all that there were. */
export async function removeGone(
  client: Redis,
  key: string,
  group: string,
  idle: number,
  self = '',
): Promise<ConsumerRow[]> {
  const rows = consumerRows(await client.xinfo('CONSUMERS', key, group));
  for (const { name, pending, idle: silence } of rows) {
    if (name === self || pending > 0 || silence < idle || !MADE_UP.test(name)) continue;
    await removeUnused(client, key, group, name);
  }
  return rows;
}

/** XINFO GROUPS, which knows the lag since Redis 7. */
export async function groupsOf(client: Redis, stream: string): Promise<GroupSummary[]> {
  const rows = groupRows(await ofStream(client.xinfo('GROUPS', stream), []));
  return rows
    .map(({ lastDeliveredId, ...row }) => ({ ...row, lastId: lastDeliveredId }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** XGROUP SETID */
export async function seekGroup(
  client: Redis,
  stream: string,
  group: string,
  id: string,
): Promise<boolean> {
  return (await ofStream(client.xgroup('SETID', stream, group, id), undefined)) !== undefined;
}

/** Removes a consumer that has nothing pending. Returns whether it is gone. */
export async function removeUnused(
  client: Redis,
  key: string,
  group: string,
  consumer: string,
): Promise<boolean> {
  return Number(await REMOVE.run(client, [key], [group, consumer])) >= 0;
}

/** XGROUP DESTROY, and DEL of the due times of entries that are parked or pause; what is noted of its silence goes, too. */
export async function removeGroup(client: Redis, stream: string, group: string): Promise<boolean> {
  const removed = await ofStream(client.xgroup('DESTROY', stream, group), 0);
  if (Number(removed) === 0) return false;
  await client.del(parkedKey(stream, group), pausesKey(stream, group));
  await client.hdel(silentKey(stream), group);
  return true;
}

/** The key of the due times of a group's parked entries. */
export function parkedKey(stream: string, group: string): string {
  return `${besideKey('group', stream)}:${group}:parked`;
}

/** The key of the ends of the pauses of a group's entries, with `ordered`. */
export function pausesKey(stream: string, group: string): string {
  return `${besideKey('group', stream)}:${group}:paused`;
}

/** The key of the notes since when groups have no consumers. */
export function silentKey(stream: string): string {
  return besideKey('silent', stream);
}

/** The reply to a command about a stream or a group, or `otherwise` where there is none. */
async function ofStream<T, O>(reply: Promise<T>, otherwise: O): Promise<T | O> {
  try {
    return await reply;
  } catch (error) {
    const reason = messageOf(error);
    if (/no such key|NOGROUP|requires the key to exist/.test(reason)) return otherwise;
    throw error;
  }
}
