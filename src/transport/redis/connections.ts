import { Redis, type Cluster, type RedisOptions } from 'ioredis';
import { BrokerClosedError, ConnectionError, messageOf } from '../../errors.ts';
import { backoff } from '../../internal/backoff.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { deferred, pause, settledWhileAwake, settledWithin } from '../../internal/deferred.ts';
import { ClusterNodes, createCluster, slotOf, type ClusterConnection } from './cluster.ts';
import type { Timings } from '../timings.ts';
import { batchWrites } from './write-batching.ts';
import { adviceOn, isDatabaseRefusal, withoutPassword } from './advice.ts';
import {
  checkEndpoint,
  checkReplies,
  checkUrl,
  forCommands,
  isClient,
  isCluster,
} from './given.ts';
import { Listening } from './listening.ts';
import { watch, type Watched } from './watchdog.ts';

/** What the server says before it closes a connection that is one too many. */
const TOO_MANY = 'ERR max number of clients reached';

/** States in which a caller's client never gets ready: it would be waited for in vain. */
const USELESS: Readonly<Record<string, string>> = {
  end: 'is closed (quit, disconnect, or its retryStrategy has given up), and does not connect again',
  monitoring: 'is in monitor mode, and takes no commands',
};

/** The ioredis client behind a broker: `broker.client`. */
export type RedisClient = Redis | Cluster;

/** How to reach Redis: a URL, ioredis options (Sentinel's among them), a cluster's nodes, or a client that the caller owns. */
export type RedisConnection = string | RedisOptions | ClusterConnection | Redis | Cluster;

/** Makes the connections of one broker: one for commands, and more of the same kind where Redis blocks or pushes. */
export class Connections {
  /**
   * The command connection, and the escape hatch `broker.client`. On a cluster a `Cluster`, which
   * has the same commands; all else about a cluster is asked of this class.
   */
  readonly client: Redis;
  /** `broker.client`: the caller's own where a copy of it is used here. */
  readonly given: Redis | Cluster;
  /** Host and port, without a password: for errors and logs. */
  readonly address: string;
  /** Milliseconds for a connection to be made and to answer its handshake. */
  readonly connectTimeout: number;
  readonly timings: Timings;
  /** Listeners on the command connection, which may be the caller's. */
  readonly listening: Listening;
  readonly #owned: boolean;
  readonly #cluster: ClusterNodes | undefined;
  readonly #others = new Set<Redis>();
  /** Nothing is opened any more: nobody would close it. */
  #isClosed = false;
  /** How often in a row the server refused the login of the command connection, at least: the password is missing or wrong. */
  #refusals = 0;
  readonly #refused = new WeakSet<Redis>();
  /** The watchdog of the command connection. */
  readonly #watched: Watched | undefined;

  constructor(connection: RedisConnection, timings: Timings) {
    this.timings = timings;
    this.given = clientOf(connection, () => this.#refusals, timings);
    const client = isClient(connection) ? forCommands(connection) : this.given;
    this.#owned = client !== connection;
    this.client = client as Redis;
    this.listening = new Listening(client);
    checkReplies(client);
    if (isCluster(client)) {
      this.#cluster = new ClusterNodes(client, this.#owned, timings);
      this.address = this.#cluster.address;
      this.connectTimeout = client.options.redisOptions?.connectTimeout ?? timings.connect;
      return;
    }
    this.address = addressOf(client.options);
    this.connectTimeout = client.options.connectTimeout ?? timings.connect;
    if (!this.#owned) return;
    batchWrites(client);
    this.#watched = watch(client, timings);
  }

  get isCluster(): boolean {
    return this.#cluster !== undefined;
  }

  async connect(): Promise<void> {
    await this.#establish(this.client);
    if (this.#owned) return;
    await this.#refuseTransaction();
    // It may have been told to quit, and was still ready.
    await this.#establish(this.client);
  }

  /** Opens one more connection like the command connection; on a cluster, to the node that holds `name`. `close` closes it too. */
  async open(overrides: RedisOptions, name?: string): Promise<Redis> {
    if (this.#isClosed) throw new BrokerClosedError();
    const options: RedisOptions = {
      lazyConnect: true,
      autoResubscribe: false,
      replyMapping: 'legacy',
      // A caller's client may have other values, with which blocking reads and subscriptions do not work.
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

  /** Reconnects `client` to another node as soon as its name moves there. */
  follow(client: Redis): void {
    this.#cluster?.follow(client);
  }

  /**
   * Whether the server refused the login of this connection. ioredis 5.8.0 and 5.8.1, and later releases of ioredis 5
   * with `disableClientInfo`, take it for ready all the same, as the default user, until it is closed.
   */
  isRefused(client: Redis): boolean {
    return this.#refused.has(client);
  }

  /** Whether the server that `client` is connected to answers at all, as far as is known. */
  isServerAlive(client: Redis): boolean {
    if (!this.#owned) return true;
    return this.#cluster?.isServerAlive(client) ?? this.#watched?.isAlive ?? true;
  }

  /** A connection for commands to the server that `client` is connected to; undefined where there is none now. */
  commandConnection(client: Redis): Redis | undefined {
    const command =
      this.#cluster === undefined ? this.client : this.#cluster.commandConnection(client);
    // ioredis's Cluster connects to a node when the first command needs it.
    const isUsable =
      command?.status === 'ready' || (command?.status === 'wait' && this.#cluster !== undefined);
    return isUsable ? command : undefined;
  }

  /**
   * For an error which means that a name has moved to another node or is about to (a fail-over, a slot
   * on the move): closes the connection, which then reconnects to that node, and resolves with true.
   * Resolves with false for any other error.
   */
  async followMove(client: Redis, error: unknown): Promise<boolean> {
    const isKnown = this.#cluster?.noteMove(client, error) === true;
    if (!isKnown && !this.#isChange(error)) return false;
    if (!isKnown) await pause(this.timings.roleChange);
    if (client.status !== 'ready') return true;
    const closed = new Promise<void>((resolve) => void client.once('close', resolve));
    client.stream.destroy();
    await closed;
    return true;
  }

  /** Resolves when the server has answered everything that was sent so far. */
  async flush(): Promise<void> {
    if (this.client.status !== 'ready') return;
    await (this.#cluster?.flush() ?? this.client.ping());
  }

  close(): void {
    this.#isClosed = true;
    for (const client of this.#others) client.disconnect();
    this.#others.clear();
    this.listening.stop();
    this.#cluster?.close();
    if (!this.#owned) return;
    // Without a listener, ioredis prints an error of a connection that was being made to stderr.
    this.client.on('error', () => {});
    this.client.disconnect();
  }

  /** Waits until `client` is ready. ioredis retries without end; a first connection must fail, with the reason. */
  async #establish(client: Redis): Promise<void> {
    if (client.status === 'ready') return;
    const isOurs = client !== this.client || this.#owned;
    if (!isOurs) this.#refuseUseless(client);
    const listening = client === this.client ? this.listening : new Listening(client);
    let cause: unknown;
    let failure: unknown;
    let isOtherDatabase = false;
    let said: Error | undefined;
    // The listener stays as long as the connection: without one, ioredis prints every later error to stderr.
    listening.on('error', (error: Error) => {
      cause = withoutPassword(error);
      isOtherDatabase = isDatabaseRefusal(error);
      const isRefused = adviceOn(error) !== undefined || isOtherDatabase;
      if (!isRefused) this.#refusals = 0;
      else if (client === this.client || this.#refusals === 0) this.#refusals++;
      if (isRefused) this.#refused.add(client);
      // ioredis would go on with database 0, and ioredis 5 as the default user, now and after every reconnect.
      if (isRefused && isOurs) streamOf(client)?.destroy();
    });
    listening.on('connect', () => {
      this.#refused.delete(client);
      // Said to nobody's command, and before the connection is closed.
      streamOf(client)?.once('data', (bytes: Buffer) => {
        if (bytes.includes(TOO_MANY)) said = new Error(TOO_MANY);
      });
    });
    listening.on('ready', () => {
      if (!this.isRefused(client)) this.#refusals = 0;
    });
    const connecting = client.status === 'wait' ? client.connect() : becomesReady(client);
    connecting.catch((error: unknown) => (failure = error));
    const settled = await this.#settles(client, connecting);
    if (settled && (client.status as string) === 'ready' && !this.isRefused(client)) return;
    // A client of the caller's goes on trying: that is the caller's decision.
    if (isOurs) client.disconnect();
    else this.#refuseUseless(client);
    if (this.#cluster !== undefined && client === this.client)
      cause = await this.#cluster.causeOf(cause ?? failure, this.connectTimeout / 3);
    cause = said ?? cause ?? (await this.#causeOf(client));
    const silence = settled
      ? 'the connection was closed meanwhile'
      : `no answer within ${this.connectTimeout} ms`;
    const why = cause === undefined ? silence : messageOf(cause);
    const reason = isOtherDatabase ? `database ${client.options.db} is refused: ${why}` : why;
    const message = `cannot connect to Redis at ${this.address}: ${reason}`;
    throw new ConnectionError(this.address, message, { cause });
  }

  /** Whether an attempt to connect ends in time. Where this process was busy meanwhile, ioredis may have given up too soon: once more. */
  async #settles(client: Redis, connecting: Promise<unknown>): Promise<boolean> {
    const began = monotonicTime();
    const waited = await settledWhileAwake(connecting, this.connectTimeout);
    if (waited === undefined) return false;
    const isBusy = monotonicTime() - began - waited > this.connectTimeout / 2;
    if (!isBusy || client.status === 'ready' || client.status === 'end') return true;
    await settledWhileAwake(becomesReady(client), this.connectTimeout - waited);
    return (client.status as string) === 'ready';
  }

  #refuseUseless({ status }: Redis): void {
    const state = USELESS[status];
    if (state === undefined) return;
    const message = `cannot connect to Redis at ${this.address}: the client that you gave ${state}`;
    throw new ConnectionError(this.address, message);
  }

  /** Within MULTI nothing is answered before EXEC, so a caller's client that is in one serves for nothing else. */
  async #refuseTransaction(): Promise<void> {
    const answer: Promise<string | undefined> = this.client.ping().catch(() => undefined);
    if (!(await settledWithin(answer, this.connectTimeout))) return;
    if ((await answer) !== 'QUEUED') return;
    const message = `cannot use Redis at ${this.address}: the client that you gave is within MULTI; give one of its own`;
    throw new ConnectionError(this.address, message);
  }

  /** What a server answers that accepts connections and is not ready: ioredis waits while it loads its data, and says nothing. */
  async #causeOf(client: Redis): Promise<unknown> {
    if (this.#cluster !== undefined) return undefined;
    const probe = client.duplicate({
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: null,
      autoResubscribe: false,
      maxRetriesPerRequest: 0,
    });
    const failed = deferred<unknown>();
    probe.on('error', (error: Error) => failed.resolve(withoutPassword(error)));
    probe.ping().then(
      () => failed.resolve(undefined),
      (error: unknown) => failed.resolve(error),
    );
    const known = await settledWithin(failed.promise, this.connectTimeout / 3);
    probe.disconnect();
    return known ? failed.promise : undefined;
  }

  #isChange(error: unknown): boolean {
    const [code = ''] = messageOf(error).split(' ');
    if (this.#cluster !== undefined)
      return ['UNBLOCKED', 'CLUSTERDOWN', 'TRYAGAIN', 'ASK', 'READONLY'].includes(code);
    // Sentinel has made the master a replica.
    return this.client.options.sentinels != null && ['UNBLOCKED', 'READONLY'].includes(code);
  }
}

function clientOf(
  connection: RedisConnection,
  refusals: () => number,
  timings: Timings,
): Redis | Cluster {
  if (isClient(connection)) return connection;
  if (typeof connection === 'object' && 'cluster' in connection)
    return createCluster(connection, timings);
  if (typeof connection === 'string') checkUrl(connection);
  else checkEndpoint(connection);
  return create(connection, refusals, timings);
}

function create(
  connection: string | RedisOptions,
  refusals: () => number,
  timings: Timings,
): Redis {
  const { reconnectMin, refusedMin, refusedMax } = timings;
  const hasSentinels = typeof connection === 'object' && connection.sentinels != null;
  // Behind Sentinel another server takes over soon: it is tried more often.
  const cap = hasSentinels ? timings.failoverReconnectMax : timings.reconnectMax;
  const options: RedisOptions = {
    connectTimeout: timings.connect,
    // An attempt costs the server about four commands, and a refused login is refused again. ioredis counts from 1 again
    // where it was ready in spite of a refusal.
    retryStrategy: (attempt) =>
      refusals() > 0
        ? backoff(Math.max(attempt, refusals()), refusedMin, refusedMax)
        : backoff(attempt, reconnectMin, cap),
    ...(hasSentinels ? { reconnectOnError } : {}),
    ...(typeof connection === 'string' ? {} : connection),
    lazyConnect: true,
    autoResubscribe: false,
    clientInfoTag: 'redstart',
  };
  return typeof connection === 'string' ? new Redis(connection, options) : new Redis(options);
}

/** Reconnects to the new master when a write is refused because Sentinel has made this one a replica. */
function reconnectOnError(error: Error): boolean {
  return error.message.startsWith('READONLY');
}

function becomesReady(client: Redis): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['ready', 'close', 'end']) client.off(event, done);
      resolve();
    };
    // A client of the caller's that has been told to quit is closed and not ended yet.
    for (const event of ['ready', 'close', 'end']) client.once(event, done);
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

/** The socket of a client; undefined for that of a cluster, which has one for each node. */
function streamOf(client: Redis): Redis['stream'] | undefined {
  return client.stream;
}
