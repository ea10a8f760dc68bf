// What Redis itself says of names and groups, on every node of a cluster: for the dashboard and the command line.
import type { RedisBroker } from '../index.ts';

export type Client = RedisBroker['client'];

/** The masters of a cluster; of one server, its client. */
export function nodesOf(client: Client): Exclude<Client, { nodes: unknown }>[] {
  return 'nodes' in client ? client.nodes('master') : [client];
}

/** A glob that takes every name with this prefix. */
export function under(prefix: string): string {
  return `${prefix.replaceAll(/[\\*?[\]]/g, '\\$&')}*`;
}

/** Whether a name is one of redstart's own: what lies beside a list or stream, questions, inboxes (also with a prefix of their own). */
export function isOurs(name: string, prefix: string): boolean {
  const isInbox = /\{[\dA-Za-z]{22}\}/.test(name);
  return isInbox || name.startsWith('redstart:') || name.startsWith(`${prefix}redstart:`);
}

/** Channels under a prefix that somebody listens to, in order (PUBSUB CHANNELS; a node knows its own listeners). */
export async function channelsUnder(client: Client, prefix: string): Promise<string[]> {
  const pattern = under(prefix);
  const found = await Promise.all(
    nodesOf(client).map((node) => node.pubsub('CHANNELS', pattern) as Promise<string[]>),
  );
  return [...new Set(found.flat())].filter((name) => !isOurs(name, prefix)).toSorted();
}

/** How many listen to each channel, those by a pattern left out (PUBSUB NUMSUB). */
export async function listenersOf(
  client: Client,
  names: readonly string[],
): Promise<Map<string, number>> {
  const counts = new Map(names.map((name) => [name, 0]));
  if (names.length === 0) return counts;
  const replies = await Promise.all(nodesOf(client).map((node) => node.pubsub('NUMSUB', ...names)));
  for (const reply of replies as (string | number)[][])
    for (const [name, count] of Object.entries(fieldsOf(reply)))
      counts.set(name, (counts.get(name) ?? 0) + Number(count));
  return counts;
}

export interface GroupNumbers {
  readonly name: string;
  /** Entries that wait; null where the server cannot tell. */
  readonly lag: number | null;
  readonly pending: number;
  readonly consumers: number;
}

/** The groups of a stream (XINFO GROUPS). */
export async function groupsOf(client: Client, stream: string): Promise<GroupNumbers[]> {
  const rows = (await client.xinfo('GROUPS', stream)) as unknown[][];
  return rows.map(fieldsOf).map(({ name, lag, pending, consumers }) => ({
    name: String(name),
    lag: typeof lag === 'number' ? lag : null,
    pending: Number(pending),
    consumers: Number(consumers),
  }));
}

/** A reply of names and values in turn as an object. */
export function fieldsOf(row: readonly unknown[]): Record<string, unknown> {
  const names = row.filter((_, i) => i % 2 === 0).map(String);
  return Object.fromEntries(names.map((name, i) => [name, row[2 * i + 1]]));
}
