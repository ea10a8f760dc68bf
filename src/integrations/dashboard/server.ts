import {
  channelsUnder,
  fieldsOf,
  groupsOf,
  isOurs,
  listenersOf,
  nodesOf,
  under,
  type Client,
  type GroupNumbers,
} from '../keys.ts';
import type { Kind, Place } from './options.ts';

// What Redis itself knows: also of services that are no redstart, such as FastStream's.

/** Keys looked at for one look, and places that are remembered. */
const SCAN_COUNT = 500;
const MAX_FOUND = 300;

/** Milliseconds between the end of one round over all keys and the next. */
const ROUND_PAUSE = 10_000;

/** Channels that are shown though nobody who answers reads them. */
const MAX_CHANNELS = 100;

/** Streams whose groups are asked for at one look. */
const MAX_STREAMS = 200;

/** Pending entries and consumers that are shown of one group. */
const MAX_PENDING = 20;
const MAX_CONSUMERS = 100;

/** The consumer that redstart's entries belong to while they wait for their next delivery. */
const PARKED = 'redstart:parked';

/** What Redis says of a group. */
export interface GroupFacts extends GroupNumbers {
  /** Milliseconds since the oldest pending entry was sent. */
  readonly oldest: number | null;
}

export interface StreamFacts {
  readonly length: number;
  readonly groups: readonly GroupFacts[];
}

/** One line on the server. */
export interface ServerFacts {
  readonly version: string;
  readonly memory: string;
  readonly clients: number;
  readonly commands: number;
}

/** Asks Redis, and remembers what it has found. What Redis refuses is noted, and left out. */
export class Server {
  readonly #client: () => Client;
  readonly #prefix: string;
  readonly #found = new Map<string, Place & { round: number }>();
  #round = 0;
  #roundEndedAt = -Infinity;
  /** Where the round is, for each node and type. */
  #cursors = new Map<string, string>();
  #refused = new Set<string>();

  constructor(client: () => Client, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  /** What Redis refused since the last call, such as `XINFO: NOPERM …`. */
  takeRefused(): string[] {
    const refused = [...this.#refused];
    this.#refused = new Set();
    return refused;
  }

  async facts(): Promise<ServerFacts | null> {
    const info = await this.#ask('INFO', () => this.#client().info());
    if (info === undefined) return null;
    const field = (name: string): string =>
      new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? '';
    const valkey = field('valkey_version');
    return {
      version: valkey === '' ? `Redis ${field('redis_version')}` : `Valkey ${valkey}`,
      memory: field('used_memory_human'),
      clients: Number(field('connected_clients')),
      commands: Number(field('instantaneous_ops_per_sec')),
    };
  }

  /** Lists and streams under the prefix, as far as they have been found. Looks at some more keys. */
  async places(): Promise<Place[]> {
    if (performance.now() - this.#roundEndedAt > ROUND_PAUSE) await this.#scan();
    return [...this.#found.values()];
  }

  /** Channels under the prefix that somebody listens to, with their numbers of subscribers. */
  async channels(): Promise<Map<string, number>> {
    const client = this.#client();
    const all = await this.#ask('PUBSUB', () => channelsUnder(client, this.#prefix));
    const names = (all ?? []).slice(0, MAX_CHANNELS);
    const counts = await this.#ask('PUBSUB', () => listenersOf(client, names));
    return counts ?? new Map(names.map((name) => [name, 0]));
  }

  async list(name: string): Promise<number | undefined> {
    return this.#ask('LLEN', () => this.#client().llen(name));
  }

  async streams(names: readonly string[], now: number): Promise<Map<string, StreamFacts>> {
    const facts = new Map<string, StreamFacts>();
    const asked = names.slice(0, MAX_STREAMS).map(async (name) => {
      const [length, groups] = await Promise.all([this.length(name), this.#groups(name, now)]);
      if (length !== undefined) facts.set(name, { length, groups });
    });
    await Promise.all(asked);
    return facts;
  }

  /** How many entries or items are there. */
  async length(name: string): Promise<number | undefined> {
    return this.#ask('XLEN', () => this.#client().xlen(name));
  }

  /** The server's clock, in Unix milliseconds. */
  async now(): Promise<number> {
    const time = await this.#ask('TIME', () => this.#client().time());
    return time === undefined ? Date.now() : Number(time[0]) * 1_000;
  }

  /** Consumers of a group and its oldest pending entries. */
  async group(stream: string, group: string): Promise<object> {
    const client = this.#client();
    const [rows, entries] = await Promise.all([
      this.#ask('XINFO', () => client.xinfo('CONSUMERS', stream, group)),
      this.#ask('XPENDING', () => client.xpending(stream, group, '-', '+', MAX_PENDING)),
    ]);
    const consumers = (rows as unknown[][] | undefined)?.map(fieldsOf) ?? [];
    return {
      consumers: consumers
        .filter(({ name }) => name !== PARKED)
        .slice(0, MAX_CONSUMERS)
        .map(({ name, pending, idle }) => ({ name, pending, idle })),
      total: consumers.length,
      parked: consumers.find(({ name }) => name === PARKED)?.['pending'] ?? 0,
      pending: ((entries ?? []) as [string, string, number, number][]).map(
        ([id, consumer, idle, deliveries]) => ({ id, consumer, idle, deliveries }),
      ),
    };
  }

  /** The frames in a list or stream, the newest or the oldest first. */
  async messages(
    { kind, name }: Place,
    newest: boolean,
    max: number,
  ): Promise<{ id: string; parts: Buffer[] }[]> {
    const client = this.#client();
    if (kind === 'list') {
      const [from, to] = newest ? [-max, -1] : [0, max - 1];
      const [length, items] = await Promise.all([
        client.llen(name),
        client.lrangeBuffer(name, from, to),
      ]);
      const first = newest ? Math.max(0, length - items.length) : 0;
      const all = items.map((item, i) => ({ id: String(first + i), parts: [item] }));
      return newest ? all.toReversed() : all;
    }
    const entries = newest
      ? await client.xrevrangeBuffer(name, '+', '-', 'COUNT', max)
      : await client.xrangeBuffer(name, '-', '+', 'COUNT', max);
    return entries.map(([id, parts]) => ({ id: id.toString(), parts }));
  }

  async #groups(stream: string, now: number): Promise<GroupFacts[]> {
    const client = this.#client();
    const groups = await this.#ask('XINFO', () => groupsOf(client, stream));
    return Promise.all(
      (groups ?? []).map(async (group) => {
        let oldest: number | null = null;
        if (group.pending > 0) {
          const summary = await this.#ask('XPENDING', () => client.xpending(stream, group.name));
          const first = (summary as [number, string | null] | undefined)?.[1];
          if (typeof first === 'string') oldest = Math.max(0, now - Number(first.split('-')[0]));
        }
        return { ...group, oldest };
      }),
    );
  }

  /** One step of SCAN for lists and for streams on each node. */
  async #scan(): Promise<void> {
    const match = under(this.#prefix);
    const steps = nodesOf(this.#client()).flatMap((node, i) =>
      (['list', 'stream'] as const).map(async (kind) => {
        const at = `${kind} ${i}`;
        const cursor = this.#cursors.get(at) ?? '0';
        if (cursor === 'end') return;
        const found = await this.#ask('SCAN', () =>
          node.call('SCAN', cursor, 'MATCH', match, 'COUNT', SCAN_COUNT, 'TYPE', kind),
        );
        const [next, names] = (found ?? ['0', []]) as [string, string[]];
        for (const name of names) this.#note(kind, name);
        this.#cursors.set(at, next === '0' ? 'end' : next);
      }),
    );
    await Promise.all(steps);
    if ([...this.#cursors.values()].some((cursor) => cursor !== 'end')) return;
    for (const [key, { round }] of this.#found) if (round !== this.#round) this.#found.delete(key);
    this.#round++;
    this.#cursors = new Map();
    this.#roundEndedAt = performance.now();
  }

  #note(kind: Kind, name: string): void {
    if (isOurs(name, this.#prefix)) return;
    const key = `${kind} ${name}`;
    if (!this.#found.has(key) && this.#found.size >= MAX_FOUND) return;
    this.#found.set(key, { kind, name, round: this.#round });
  }

  /** Undefined where Redis refuses. A lost connection is thrown: the page tells of it as a whole. */
  async #ask<T>(command: string, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ReplyError') throw error;
      // A key that is gone or is of another type since it was found: that passes by itself.
      if (!/^(ERR no such key|WRONGTYPE|NOGROUP)/.test(error.message))
        this.#refused.add(`${command}: ${error.message.slice(0, 200)}`);
      return undefined;
    }
  }
}
