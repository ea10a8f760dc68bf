import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { ConnectionError, SetupError, messageOf } from '../../errors.ts';
import { backoff } from '../../internal/backoff.ts';
import { pause, settledWithin } from '../../internal/deferred.ts';
import { ClusterNodes, createCluster, slotOf, type ClusterConnection } from './cluster.ts';
import type { Timings } from '../timings.ts';
import { coalesceWrites } from './write-batching.ts';
import { adviceOn, withoutPassword } from './advice.ts';
import { watchOver } from './watchdog.ts';

/** The ioredis client behind a broker: `broker.client`. */
export type RedisClient = Redis | Cluster;

/** How to reach Redis: a URL, ioredis options (Sentinel's among them), a cluster's nodes, or a client that the caller owns. */
export type RedisConnection = string | RedisOptions | ClusterConnection | Redis | Cluster;

/** Makes the connections of one broker: one for commands, and more of the same kind where Redis blocks or pushes. */
export class Connections {
  /**
   * The command connection, and the escape hatch `broker.client`. On a cluster a `Cluster`, which
   * has the same commands; what it has not is asked for here and nowhere else.
   */
  readonly client: Redis;
  /** Host and port, without a password: for errors and logs. */
  readonly address: string;
  /** Milliseconds for a connection to be made and to answer its handshake. */
  readonly connectTimeout: number;
  readonly timings: Timings;
  readonly #owned: boolean;
  readonly #cluster: ClusterNodes | undefined;
  readonly #others = new Set<Redis>();
  /** The last attempt to connect was turned away: the password is wrong, or there is none. */
  #isRefused = false;
  /** Whether the server has answered lately on the command connection. */
  readonly #answers: (() => boolean) | undefined;

  constructor(connection: RedisConnection, timings: Timings) {
    this.timings = timings;
    this.#owned = !(connection instanceof Redis || connection instanceof Cluster);
    const client = clientOf(connection, () => this.#isRefused, timings);
    this.client = client as Redis;
    if (client.options.keyPrefix) {
      throw new SetupError(
        "ioredis's keyPrefix covers keys and not channels: give the broker its own option 'prefix' instead",
      );
    }
    if (client instanceof Cluster) {
      this.#cluster = new ClusterNodes(client, this.#owned, timings);
      this.address = this.#cluster.address;
      this.connectTimeout = client.options.redisOptions?.connectTimeout ?? timings.connect;
      return;
    }
    this.address = addressOf(client.options);
    this.connectTimeout = client.options.connectTimeout ?? timings.connect;
    if (!this.#owned) return;
    coalesceWrites(client);
    this.#answers = watchOver(client, timings);
  }

  get isCluster(): boolean {
    return this.#cluster !== undefined;
  }

  connect(): Promise<void> {
    return this.#establish(this.client);
  }

  /** One more connection like the first; on a cluster, to the node that holds `name`. It is closed with the others. */
  async open(overrides: RedisOptions, name?: string): Promise<Redis> {
    const options: RedisOptions = {
      lazyConnect: true,
      autoResubscribe: false,
      replyMapping: 'legacy',
      // A caller's client may be set up so; blocking reads and subscriptions cannot live with it.
      enableOfflineQueue: true,
      commandTimeout: undefined,
      socketTimeout: undefined,
      ...overrides,
    };
    const client =
      this.#cluster === undefined
        ? this.client.duplicate(options)
        : this.#cluster.open(options, name);
    this.#others.add(client);
    try {
      await this.#establish(client);
    } catch (error) {
      this.release(client);
      throw error;
    }
    return client;
  }

  release(client: Redis): void {
    this.#others.delete(client);
    client.disconnect();
  }

  /** The hash slot of a name; undefined where there are none. */
  slotOf(name: string): number | undefined {
    return this.#cluster === undefined ? undefined : slotOf(name);
  }

  /** Has a connection move as soon as its name does. */
  follow(client: Redis): void {
    this.#cluster?.follow(client);
  }

  /** Whether the server that `client` is connected to answers at all, as far as is known. */
  isAliveBeside(client: Redis): boolean {
    if (!this.#owned) return true;
    return this.#cluster?.isAliveBeside(client) ?? this.#answers?.() ?? true;
  }

  /** A connection for commands to the server that `client` is connected to; undefined where there is none now. */
  beside(client: Redis): Redis | undefined {
    const beside = this.#cluster === undefined ? this.client : this.#cluster.beside(client);
    // A cluster's connections wait to be made until a command needs them.
    const isUsable =
      beside?.status === 'ready' || (beside?.status === 'wait' && this.#cluster !== undefined);
    return isUsable ? beside : undefined;
  }

  /**
   * Whether an error says only that a name lives elsewhere now, or soon will: after a fail-over, or
   * while a slot moves. If so, resolves when the connection is on its way there.
   */
  async followed(client: Redis, error: unknown): Promise<boolean> {
    const isKnown = this.#cluster?.learn(client, error) === true;
    if (!isKnown && !this.#isChange(error)) return false;
    if (!isKnown) await pause(this.timings.roleChange);
    if (client.status !== 'ready') return true;
    const closed = new Promise<void>((resolve) => void client.once('close', resolve));
    client.stream.destroy();
    await closed;
    return true;
  }

  /** Resolves when the server has answered all that was sent so far. */
  async flush(): Promise<void> {
    if (this.client.status !== 'ready') return;
    await (this.#cluster?.flush() ?? this.client.ping());
  }

  close(): void {
    for (const client of this.#others) client.disconnect();
    this.#others.clear();
    if (this.#owned) this.client.disconnect();
  }

  /** Waits until `client` is ready. ioredis retries for ever by itself; a first connection is to fail, and to say why. */
  async #establish(client: Redis): Promise<void> {
    if (client.status === 'ready') return;
    let cause: unknown;
    let failure: unknown;
    const remember = (error: Error): void => {
      cause = withoutPassword(error);
      this.#isRefused = adviceOn(error) !== undefined;
    };
    // Stays on as a listener: without one, ioredis prints every later reconnect to stderr.
    client.on('error', remember);
    client.on('ready', () => (this.#isRefused = false));
    const connecting = client.status === 'wait' ? client.connect() : becomesReady(client);
    connecting.catch((error: unknown) => (failure = error));
    const settled = await settledWithin(connecting, this.connectTimeout);
    if (settled && (client.status as string) === 'ready') return;
    // A client that is the caller's keeps trying, as the caller set it up to.
    if (client !== this.client || this.#owned) client.disconnect();
    if (this.#cluster !== undefined && client === this.client)
      cause = await this.#cluster.causeOf(cause ?? failure, this.connectTimeout / 3);
    const silence = settled
      ? 'the connection was closed meanwhile'
      : `no answer within ${this.connectTimeout} ms`;
    const reason = cause === undefined ? silence : explain(cause);
    const message = `cannot connect to Redis at ${this.address}: ${reason}`;
    throw new ConnectionError(this.address, message, { cause });
  }

  #isChange(error: unknown): boolean {
    const [code = ''] = messageOf(error).split(' ');
    if (this.#cluster !== undefined)
      return ['UNBLOCKED', 'CLUSTERDOWN', 'TRYAGAIN', 'ASK', 'READONLY'].includes(code);
    // A master that Sentinel has made a replica.
    return this.client.options.sentinels != null && ['UNBLOCKED', 'READONLY'].includes(code);
  }
}

function clientOf(
  connection: RedisConnection,
  isRefused: () => boolean,
  timings: Timings,
): Redis | Cluster {
  if (connection instanceof Redis || connection instanceof Cluster) return connection;
  if (typeof connection === 'object' && 'cluster' in connection)
    return createCluster(connection, timings);
  return create(connection, isRefused, timings);
}

function create(
  connection: string | RedisOptions,
  isRefused: () => boolean,
  timings: Timings,
): Redis {
  const { reconnectMin, refusedMin, refusedMax } = timings;
  const hasSentinels = typeof connection === 'object' && connection.sentinels != null;
  // Where another server is to take over, it is looked for more often.
  const cap = hasSentinels ? timings.failoverReconnectMax : timings.reconnectMax;
  const options: RedisOptions = {
    connectTimeout: timings.connect,
    // Every attempt costs the server four commands or so, and one that was refused is so again.
    retryStrategy: (attempt) =>
      isRefused() ? backoff(attempt, refusedMin, refusedMax) : backoff(attempt, reconnectMin, cap),
    ...(hasSentinels ? { reconnectOnError } : {}),
    ...(typeof connection === 'string' ? {} : connection),
    lazyConnect: true,
    autoResubscribe: false,
    clientInfoTag: 'redstart',
  };
  return typeof connection === 'string' ? new Redis(connection, options) : new Redis(options);
}

/** A master that Sentinel has made a replica refuses writes: the new one is asked for. */
function reconnectOnError(error: Error): boolean {
  return error.message.startsWith('READONLY');
}

function becomesReady(client: Redis): Promise<void> {
  return new Promise((resolve) => {
    client.once('ready', resolve);
    client.once('close', resolve);
  });
}

function addressOf(options: RedisOptions): string {
  if (options.path) return options.path;
  if (options.sentinels) {
    const sentinels = options.sentinels.map(({ host, port }) => `${host}:${port ?? 26379}`);
    return `'${options.name}' behind sentinels ${sentinels.join(', ')}`;
  }
  return `${options.host ?? 'localhost'}:${options.port ?? 6379}`;
}

/** `localhost` that refuses on both IPv4 and IPv6 is an AggregateError without a message. */
function explain(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(messageOf).join(', ');
  return messageOf(cause);
}
