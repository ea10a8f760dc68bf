import { Redis, type RedisOptions } from 'ioredis';
import { ConnectionError, SetupError, messageOf } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import { settledWithin } from '../internal/deferred.ts';
import { coalesceWrites } from './coalesce.ts';
import { adviceOn, withoutPassword } from './trouble.ts';
import { watchOver } from './watchdog.ts';

/** How to reach Redis: a URL, ioredis options (Sentinel's among them), or a client that the caller owns. */
export type RedisConnection = string | RedisOptions | Redis;

/** Milliseconds for a connection to be made and to answer its handshake. */
const CONNECT_TIMEOUT = 3_000;

/** Makes the connections of one broker: one for commands, and more of the same kind where Redis blocks or pushes. */
export class Connections {
  /** The command connection, and the escape hatch `broker.client`. */
  readonly client: Redis;
  /** Host and port, without a password: for errors and logs. */
  readonly address: string;
  readonly #owned: boolean;
  readonly #others = new Set<Redis>();
  /** The last attempt to connect was turned away: the password is wrong, or there is none. */
  #isRefused = false;
  /** Whether the server has answered lately on the command connection. */
  readonly #answers: (() => boolean) | undefined;

  constructor(connection: RedisConnection) {
    this.#owned = !(connection instanceof Redis);
    this.client =
      connection instanceof Redis ? connection : create(connection, () => this.#isRefused);
    if (this.client.options.keyPrefix) {
      throw new SetupError(
        "ioredis's keyPrefix covers keys and not channels: give the broker its own option 'prefix' instead",
      );
    }
    this.address = addressOf(this.client.options);
    if (!this.#owned) return;
    coalesceWrites(this.client);
    this.#answers = watchOver(this.client);
  }

  get connectTimeout(): number {
    return this.client.options.connectTimeout ?? CONNECT_TIMEOUT;
  }

  /** Whether the server answers at all, as far as is known. */
  get isAlive(): boolean {
    return this.#answers?.() ?? true;
  }

  connect(): Promise<void> {
    return this.#establish(this.client);
  }

  /** One more connection like the first. It is closed with the others. */
  async open(overrides: RedisOptions): Promise<Redis> {
    const client = this.client.duplicate({
      lazyConnect: true,
      autoResubscribe: false,
      replyMapping: 'legacy',
      // A caller's client may be set up so; blocking reads and subscriptions cannot live with it.
      enableOfflineQueue: true,
      commandTimeout: undefined,
      socketTimeout: undefined,
      ...overrides,
    }) as Redis;
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

  close(): void {
    for (const client of this.#others) client.disconnect();
    this.#others.clear();
    if (this.#owned) this.client.disconnect();
  }

  /** Waits until `client` is ready. ioredis retries for ever by itself; a first connection is to fail, and to say why. */
  async #establish(client: Redis): Promise<void> {
    if (client.status === 'ready') return;
    let cause: unknown;
    const remember = (error: Error): void => {
      cause = withoutPassword(error);
      this.#isRefused = adviceOn(error) !== undefined;
    };
    // Stays on as a listener: without one, ioredis prints every later reconnect to stderr.
    client.on('error', remember);
    client.on('ready', () => (this.#isRefused = false));
    const connecting = client.status === 'wait' ? client.connect() : becomesReady(client);
    const settled = await settledWithin(connecting, this.connectTimeout);
    if (settled && (client.status as string) === 'ready') return;
    // A client that is the caller's keeps trying, as the caller set it up to.
    if (client !== this.client || this.#owned) client.disconnect();
    const silence = settled
      ? 'the connection was closed meanwhile'
      : `no answer within ${this.connectTimeout} ms`;
    const reason = cause === undefined ? silence : explain(cause);
    throw new ConnectionError(
      this.address,
      `cannot connect to Redis at ${this.address}: ${reason}`,
      {
        cause,
      },
    );
  }
}

function create(connection: string | RedisOptions, isRefused: () => boolean): Redis {
  const options: RedisOptions = {
    connectTimeout: CONNECT_TIMEOUT,
    // Every attempt costs the server four commands or so, and one that was refused is so again.
    retryStrategy: (attempt) =>
      isRefused() ? backoff(attempt, 2_000, 15_000) : backoff(attempt, 10, 5_000),
    ...(typeof connection === 'string' ? {} : connection),
    lazyConnect: true,
    autoResubscribe: false,
    clientInfoTag: 'redstart',
  };
  return typeof connection === 'string' ? new Redis(connection, options) : new Redis(options);
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
