/** Reads what a user gives as `connection`: URLs, options and clients. No error here shows a password. */
import type { Cluster, ClusterNode, Redis, RedisOptions } from 'ioredis';
import { SetupError } from '../../errors.ts';
import { got, isObject } from '../../internal/checks.ts';
import { withoutCredentials } from '../../internal/urls.ts';

const WHERE = 'RedisBroker';

/**
 * Whether a value is a client of ioredis. Not `instanceof`: a monorepo, pnpm or another library's
 * dependency can load a second copy of ioredis. Throws `SetupError` for a client of another library.
 */
export function isClient(value: unknown): value is Redis | Cluster {
  if (typeof value !== 'object' || value === null) return false;
  const client = value as Partial<Readonly<Record<keyof Redis, unknown>>>;
  if (typeof client.sendCommand !== 'function' && typeof client.connect !== 'function')
    return false;
  const isKnown =
    typeof client.sendCommand === 'function' &&
    typeof client.duplicate === 'function' &&
    typeof client.disconnect === 'function' &&
    typeof client.on === 'function' &&
    typeof client.status === 'string' &&
    typeof client.options === 'object';
  if (isKnown) return true;
  throw new SetupError(
    `${WHERE}: the client must be one of ioredis, got ${got(value)} of another library: give the URL of the server instead`,
  );
}

export function isCluster(client: Redis | Cluster): client is Cluster {
  return typeof (client as Partial<Cluster>).nodes === 'function';
}

/**
 * The client that commands go over. A caller's client can be set to turn numbers into texts, or maps
 * into objects: the broker then uses a copy of it that does not.
 */
export function forCommands(client: Redis | Cluster): Redis | Cluster {
  const settings = replySettings(client);
  if (!settings.stringNumbers && settings.replyMapping !== 'resp3') return client;
  const plain = { stringNumbers: false, replyMapping: 'legacy' } as const;
  return isCluster(client)
    ? client.duplicate([], { lazyConnect: true, redisOptions: plain })
    : client.duplicate({ lazyConnect: true, autoResubscribe: false, ...plain });
}

/** Throws `SetupError` for options of ioredis with which the broker cannot work. */
export function checkReplies(client: Redis | Cluster): void {
  if (client.options.keyPrefix) {
    throw new SetupError(
      "ioredis's keyPrefix covers keys and not channels: give the broker its own option 'prefix' instead",
    );
  }
  const settings = replySettings(client);
  const option = settings.stringNumbers ? 'stringNumbers' : 'replyMapping';
  if (!settings.stringNumbers && settings.replyMapping !== 'resp3') return;
  throw new SetupError(
    `${WHERE}: ioredis's option '${option}' changes the replies that the broker reads: leave it out, or give a client of your own that has it`,
  );
}

function replySettings(client: Redis | Cluster): {
  stringNumbers?: boolean | undefined;
  replyMapping?: string | undefined;
} {
  return isCluster(client) ? (client.options.redisOptions ?? {}) : client.options;
}

const ENCODE =
  'a user name or password with a character such as / ? # @ % or a blank must be percent-encoded (encodeURIComponent)';

/** Throws `SetupError` for a URL that cannot be read, or that ioredis would read as another server or database. */
export function checkUrl(url: string, where = WHERE): void {
  // After the last @ there is no password. Without one, only a plain host and port are shown.
  const at = url.lastIndexOf('@');
  const rest = url.slice(at < 0 ? url.indexOf('//') + 2 : at + 1);
  const shown = at >= 0 || /^[\w.-]*(:\d+)?(\/\d*)?$/.test(rest) ? ` (…${rest})` : '';
  const refuse = (what: string): never => {
    throw new SetupError(`${where}: ${what}`);
  };
  let parsed: URL;
  try {
    parsed = new URL(url);
    decodeURIComponent(parsed.username);
    decodeURIComponent(parsed.password);
  } catch {
    const port = Number(/:(\d+)(?:[/?]|$)/.exec(rest)?.[1] ?? 0);
    if (port > 65_535) return refuse(`the port in the URL must be 65535 at most, got ${port}`);
    return refuse(`the URL cannot be read${shown}: ${ENCODE}`);
  }
  const { hostname, pathname, search, hash } = parsed;
  // An @ behind the host is the end of a password that was cut off at one of these characters.
  if (`${pathname}${search}`.includes('@') || hash !== '')
    return refuse(`the URL cannot be read: ${ENCODE}`);
  const db = parsed.searchParams.get('db') ?? pathname.slice(1);
  if (/^\d*$/.test(db)) return;
  if (hostname === '') {
    const socket = pathname.replaceAll(/[^\w./-]/g, '…');
    return refuse(`the URL has no host; for a Unix socket, give { path: '${socket}' } instead`);
  }
  refuse(
    `the database in the URL must be a number, as in redis://host:6379/2, got '${db.slice(0, 60)}'`,
  );
}

interface Endpoint {
  readonly url?: unknown;
  readonly host?: unknown;
  readonly port?: unknown;
  readonly db?: unknown;
  readonly sentinels?: unknown;
}

/** Throws `SetupError` for options that ioredis would pass over, or whose errors would show a password. */
export function checkEndpoint(options: Endpoint, where = WHERE): void {
  if (Array.isArray(options) || options instanceof URL)
    throw new SetupError(
      `${where}: expected a URL as text, options or a client, got ${got(options)}`,
    );
  const { url, host, port, db, sentinels } = options;
  // As other clients have it. ioredis would pass over it, and connect to localhost.
  if (url != null) throw new SetupError(`${where}: there is no option 'url': give the URL itself`);
  if (host != null && (typeof host !== 'string' || /[@/]/.test(host))) {
    const url = typeof host === 'string' ? ': a URL is given as it stands, not as an option' : '';
    throw new SetupError(`${where}: 'host' must be the name or address of a host${url}`);
  }
  const isPort = typeof port === 'string' ? /^\d+$/.test(port) : Number.isSafeInteger(port);
  if (port != null && !(isPort && Number(port) >= 0 && Number(port) <= 65_535)) {
    throw new SetupError(
      `${where}: 'port' must be a whole number from 0 to 65535, got ${got(port, 'number')}`,
    );
  }
  // Text, as environment variables hold it, is a number for ioredis, too.
  const isNumber = typeof db === 'string' ? /^\d+$/.test(db) : Number.isSafeInteger(db);
  if (db != null && !(isNumber && Number(db) >= 0)) {
    throw new SetupError(
      `${where}: 'db' must be the number of a database, 0 or more, got ${got(db, 'number')}`,
    );
  }
  if (sentinels != null) checkSentinels(sentinels, (options as { name?: unknown }).name, where);
}

function checkSentinels(sentinels: unknown, name: unknown, where: string): void {
  if (!Array.isArray(sentinels) || sentinels.length === 0) {
    throw new SetupError(
      `${where}: 'sentinels' must be an array with one or more, such as { host, port }`,
    );
  }
  if (typeof name !== 'string' || name === '')
    throw new SetupError(
      `${where}: 'sentinels' needs 'name', the name of the master, got ${got(name)}`,
    );
  for (const sentinel of sentinels as unknown[]) {
    if (!isObject(sentinel))
      throw new SetupError(
        `${where}: each of 'sentinels' must be { host, port }, got ${got(sentinel)}`,
      );
    checkEndpoint(sentinel, `${where}: sentinels`);
  }
}

/** The nodes of a cluster, checked: each an address, a URL, `host:port` or a port. */
export function checkNodes(nodes: readonly unknown[]): void {
  const where = `${WHERE}: cluster`;
  for (const node of nodes) {
    if (typeof node === 'string') checkUrl(urlOf(node), where);
    else if (typeof node === 'object' && node !== null) checkEndpoint(node, where);
    else if (typeof node !== 'number')
      throw new SetupError(
        `${where}: each node must be { host, port }, a URL or a port, got ${got(node)}`,
      );
  }
}

/** Where a node of a cluster is. */
export function endpointOf(node: ClusterNode): { host: string; port: number } {
  if (typeof node === 'number') return { host: '127.0.0.1', port: node };
  const { host, hostname, port } =
    typeof node === 'object'
      ? { ...node, hostname: undefined }
      : { ...partsOf(node), host: undefined };
  const name = host ?? hostname?.replaceAll(/^\[|\]$/g, '');
  return { host: name || '127.0.0.1', port: Number(port || 6379) };
}

/** User name and password of a node of a cluster, where it has its own. */
export function loginOf(node: ClusterNode): RedisOptions {
  if (typeof node === 'object') return node;
  const { username = '', password = '' } = typeof node === 'string' ? partsOf(node) : {};
  return username === '' && password === ''
    ? {}
    : { username: decodeURIComponent(username), password: decodeURIComponent(password) };
}

/** Of a caller's client, what the URL of a node says cannot be checked: one that cannot be read has no parts. */
function partsOf(node: string): Partial<URL> {
  return URL.canParse(urlOf(node)) ? new URL(urlOf(node)) : {};
}

function urlOf(node: string): string {
  return /^rediss?:\/\//i.test(node) ? node : `redis://${node}`;
}

/** The error for a URL of a scheme that is not known, without what may be a password. */
export function unknownScheme(url: string): SetupError {
  return new SetupError(
    `${WHERE}: expected a redis://, rediss:// or memory:// URL, got '${withoutCredentials(url)}'`,
  );
}
