import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  AbstractConnector,
  Cluster,
  Redis,
  type ClusterNode,
  type ClusterOptions,
  type RedisOptions,
} from 'ioredis';
import { SetupError, messageOf } from '../../errors.ts';
import { backoff } from '../../internal/backoff.ts';
import { deferred, settledWithin } from '../../internal/deferred.ts';
import type { Timings } from '../timings.ts';
import { withoutPassword } from './advice.ts';
import { checkNodes, endpointOf, loginOf } from './given.ts';
import { Listening } from './listening.ts';
import { batchWrites } from './write-batching.ts';
import { watch, type Watched } from './watchdog.ts';

/** Nodes of a Redis Cluster to start from, beside ioredis's own cluster options. */
export interface ClusterConnection extends ClusterOptions {
  cluster: ClusterNode[];
}

/** Options of a connection to a node. ioredis ignores them among a cluster's options, so they are refused there. */
const OF_A_NODE = ['username', 'password', 'tls', 'connectTimeout', 'db', 'commandTimeout'];

export function createCluster(
  { cluster, ...options }: ClusterConnection,
  timings: Timings,
): Cluster {
  if (!Array.isArray(cluster) || cluster.length === 0) {
    throw new SetupError(
      "RedisBroker: 'cluster' must be an array with one node or more, such as { host, port }",
    );
  }
  checkNodes(cluster);
  const misplaced = OF_A_NODE.find((key) => key in options);
  if (misplaced !== undefined) {
    throw new SetupError(
      `RedisBroker: '${misplaced}' is an option of the connections to the nodes: write { cluster, redisOptions: { ${misplaced} } }`,
    );
  }
  return new Cluster(cluster, {
    clusterRetryStrategy: (attempt: number) =>
      backoff(attempt, timings.reconnectMin, timings.clusterReconnectMax),
    // A command that meets a dead node is tried again until the fail-over is done, for about 10 s.
    maxRedirections: 150,
    retryDelayOnFailover: timings.failoverRetry,
    retryDelayOnClusterDown: timings.failoverRetry,
    ...options,
    lazyConnect: true,
    redisOptions: {
      connectTimeout: timings.connect,
      clientInfoTag: 'redstart',
      ...options.redisOptions,
    },
  });
}

/**
 * What a cluster adds to connections. Commands go over ioredis's `Cluster`. A connection that
 * subscribes or blocks is a plain one to a single node; each time that it connects, it connects to the
 * node that holds its name then. A fail-over is thus no different from a restart of the server.
 */
export class ClusterNodes {
  readonly address: string;
  readonly #client: Cluster;
  readonly #timings: Timings;
  /** The watchdogs of the nodes that commands go to. */
  readonly #watched = new WeakMap<Redis, Watched>();
  readonly #places = new Map<Redis, Place>();
  readonly #listening: Listening;
  #cause: unknown;

  constructor(client: Cluster, isOwned: boolean, timings: Timings) {
    this.#client = client;
    this.#timings = timings;
    this.#listening = new Listening(client);
    this.address = `cluster ${startNodes(client).map(nameOf).join(', ')}`;
    this.#listening.on('node error', (error: unknown) => (this.#cause = withoutPassword(error)));
    this.#listening.on('refresh', () => this.#followOwners());
    if (!isOwned) return;
    client.on('+node', (node: Redis) => {
      batchWrites(node);
      this.#watched.set(node, watch(node, timings));
    });
  }

  /** A client, not connected yet, for the node that holds `name`; for any node where `name` is undefined. */
  open(overrides: RedisOptions, name: string | undefined): Redis {
    const { redisOptions } = this.#client.options;
    const { reconnectMin, failoverReconnectMax, refreshSlots } = this.#timings;
    const slot = name === undefined ? undefined : slotOf(name);
    const place = new Place(this.#client, slot, refreshSlots);
    const client = new Redis({
      ...redisOptions,
      retryStrategy: (attempt: number) => backoff(attempt, reconnectMin, failoverReconnectMax),
      ...overrides,
      Connector: connectorTo(place, redisOptions ?? {}),
    });
    this.#places.set(client, place);
    client.once('end', () => this.#places.delete(client));
    return client;
  }

  /** Reconnects `client` when its name moves. A subscription sends no command whose error would say so. */
  follow(client: Redis): void {
    const place = this.#places.get(client);
    if (place !== undefined) place.isFollowed = true;
  }

  /** Remembers where a MOVED error says that the name of `client` is now; false for any other error. */
  noteMove(client: Redis, error: unknown): boolean {
    const [, slot, key] = /^MOVED (\d+) (\S+)/.exec(messageOf(error)) ?? [];
    if (slot !== undefined) this.#places.get(client)?.moved(Number(slot), key as string);
    return slot !== undefined;
  }

  /** The command connection to the node that `client` is connected to. */
  commandConnection(client: Redis): Redis | undefined {
    const key = this.#places.get(client)?.key;
    return this.#client.nodes().find((node) => keyOf(node.options) === key);
  }

  /** Whether the node of `client` is alive, so that a silent connection to it must be dead. */
  isServerAlive(client: Redis): boolean {
    const place = this.#places.get(client);
    if (place === undefined || place.hasMoved) return true;
    const node = this.commandConnection(client);
    // ioredis connects to a node when a command needs it; only a connection shows whether the node answers.
    if (node?.status === 'wait') node.connect().catch(() => undefined);
    return node?.status === 'ready' && this.#watched.get(node)?.isAlive !== false;
  }

  /** Resolves when everything sent so far has been answered: a node replies in order, so to PING last. */
  async flush(): Promise<void> {
    const nodes = this.#client.nodes('master').filter((node) => node.status === 'ready');
    await Promise.all(nodes.map((node) => node.ping()));
  }

  /** Why no node accepts a connection. ioredis tells only that it was closed, so one node is connected to directly. */
  async causeOf(failure: unknown, patience: number): Promise<unknown> {
    const known = this.#cause ?? failure;
    if (known !== undefined && !/closed|startup nodes|slots cache/.test(messageOf(known)))
      return known;
    for (const node of startNodes(this.#client)) {
      const cause = await this.#try(node, patience);
      if (cause !== undefined) return cause;
    }
    return known;
  }

  async #try(node: ClusterNode, patience: number): Promise<unknown> {
    const probe = new Redis({
      ...this.#client.options.redisOptions,
      ...loginOf(node),
      ...endpointOf(node),
      lazyConnect: true,
      retryStrategy: null,
      autoResubscribe: false,
    });
    const failed = deferred<unknown>();
    probe.on('error', (error: unknown) => failed.resolve(withoutPassword(error)));
    probe.cluster('INFO').then(
      (info) => failed.resolve(explainState(info)),
      (error: unknown) => setImmediate(() => failed.resolve(withoutPassword(error))),
    );
    const settled = await settledWithin(failed.promise, patience);
    probe.disconnect();
    return settled ? failed.promise : undefined;
  }

  /** Takes back the listeners on the client. */
  close(): void {
    this.#listening.stop();
  }

  #followOwners(): void {
    for (const [client, place] of this.#places) {
      if (place.isFollowed && place.hasMoved && client.status === 'ready') client.stream.destroy();
    }
  }
}

/** The node that one connection belongs to, and the node that it is connected to. */
class Place {
  /** `host:port` of the node that it was last connected to. */
  key: string | undefined;
  isFollowed = false;
  readonly #cluster: Cluster;
  /** Milliseconds for the cluster to answer where its slots are. */
  readonly #patience: number;
  #slot: number | undefined;
  /** `host:port` from the last MOVED error, until the next connect. */
  #hint: string | undefined;

  constructor(cluster: Cluster, slot: number | undefined, patience: number) {
    this.#cluster = cluster;
    this.#patience = patience;
    this.#slot = slot;
  }

  /** Whether the slot's master is known to be another node than the one connected to. */
  get hasMoved(): boolean {
    const owner = this.#owner;
    return owner !== undefined && owner !== this.key;
  }

  get #owner(): string | undefined {
    return this.#slot === undefined ? undefined : this.#cluster.slots[this.#slot]?.[0];
  }

  moved(slot: number, key: string): void {
    this.#slot = slot;
    // Behind address translation, and for `:port` alone, the slot table of ioredis has the right address.
    if (this.#cluster.options.natMap == null && /^[^:]/.test(key)) this.#hint = key;
  }

  /** Where to connect to now. */
  async next(): Promise<{ host: string; port: number }> {
    const hint = this.#hint;
    this.#hint = undefined;
    const isFirst = this.key === undefined;
    if (hint === undefined && !isFirst) await refresh(this.#cluster, this.#patience);
    this.key = hint ?? this.#owner ?? this.#any() ?? this.key ?? '127.0.0.1:6379';
    return parts(this.key);
  }

  /** Any master, preferably another than the one that was just left. */
  #any(): string | undefined {
    const keys = this.#cluster.nodes('master').map((node) => keyOf(node.options));
    const others = keys.filter((key) => key !== this.key);
    const from = others.length > 0 ? others : keys;
    return from[Math.floor(Math.random() * from.length)];
  }
}

/** Makes a connector that asks `place` for the address at every connect. */
function connectorTo(place: Place, { tls, family, disconnectTimeout = 2_000 }: RedisOptions) {
  return class extends AbstractConnector {
    constructor() {
      super(disconnectTimeout);
    }

    async connect(): ReturnType<AbstractConnector['connect']> {
      this.connecting = true;
      const { host, port } = await place.next();
      // Its owner has called disconnect() meanwhile; a rejection makes ioredis end the client.
      if (!this.connecting) throw new Error('Connection is closed.');
      const to = family === undefined ? { host, port } : { host, port, family };
      const stream = tls === undefined ? connectTcp(to) : connectTls({ ...to, ...tls });
      stream.once('error', (error: Error) => (this.firstError = error));
      this.stream = stream;
      return stream;
    }
  };
}

/** Has ioredis ask where the slots are, and waits for at most `patience` milliseconds. */
async function refresh(cluster: Cluster, patience: number): Promise<void> {
  if (cluster.status !== 'ready') return;
  const asked = new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()));
  await settledWithin(asked, patience);
}

/** The hash slot of a key or channel: CRC16 of the text between the first braces, or of the whole name. */
export function slotOf(name: string): number {
  const open = name.indexOf('{');
  const close = open < 0 ? -1 : name.indexOf('}', open + 1);
  const tag = close > open + 1 ? name.slice(open + 1, close) : name;
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return crc & 0x3fff;
}

/** An error for a cluster that answers but refuses commands, because slots of it are not served. */
function explainState(info: string): unknown {
  const [, state] = /cluster_state:(\w+)/.exec(info) ?? [];
  return state === 'ok' ? undefined : new Error(`the cluster's state is '${state}'`);
}

function startNodes(cluster: Cluster): ClusterNode[] {
  return (cluster as unknown as { startupNodes: ClusterNode[] }).startupNodes;
}

function nameOf(node: ClusterNode): string {
  return keyOf(endpointOf(node));
}

function keyOf({ host = '127.0.0.1', port = 6379 }: { host?: string; port?: number }): string {
  return `${host}:${port}`;
}

function parts(key: string): { host: string; port: number } {
  const colon = key.lastIndexOf(':');
  return { host: key.slice(0, colon), port: Number(key.slice(colon + 1)) };
}
