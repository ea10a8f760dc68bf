import { text } from 'node:stream/consumers';
import { messageOf } from '../errors.ts';
import { withoutCredentials } from '../internal/urls.ts';
import type { BrokerOptions, ClusterConnection, RedisBroker } from '../index.ts';
import type { Options } from './command.ts';
import { UsageError } from './failure.ts';

const DEFAULT_URL = 'redis://localhost:6379';

export const URL_OPTION = {
  url: {
    type: 'string',
    value: 'url',
    text: `the Redis to use (default: REDIS_URL, or ${DEFAULT_URL})`,
  },
} as const satisfies Options;

export const PREFIX_OPTION = {
  prefix: { type: 'string', value: 'text', text: "the broker's prefix: is put before every name" },
} as const satisfies Options;

/** Everywhere: commands that print nothing but JSON take it, too, so that a script need not know them. */
export const JSON_OPTION = {
  json: { type: 'boolean', text: 'one line of JSON for each' },
} as const satisfies Options;

export const KIND_OPTIONS = {
  channel: { type: 'boolean', text: 'the address is a channel (the default)' },
  list: { type: 'boolean', text: 'the address is a list' },
  stream: { type: 'boolean', text: 'the address is a stream' },
} as const satisfies Options;

export const HEADER_OPTION = {
  header: { type: 'string', multiple: true, value: 'key=value', text: 'a header; may be repeated' },
} as const satisfies Options;

/** What tells one message from another, for the order of a key and for ids. */
export const IDENTITY_OPTIONS = {
  key: { type: 'string', value: 'text', text: 'the key of the message, for ordered subscribers' },
  id: { type: 'string', value: 'text', text: 'the id of the message (not on a channel)' },
} as const satisfies Options;

/** The URL of the command's Redis, without user and password. */
export function shownUrl(url: string | undefined): string {
  return withoutCredentials(urlOf(url));
}

/** Runs `use` with a new broker, and stops the broker afterwards. */
export async function withBroker<T>(
  url: string | undefined,
  use: (broker: RedisBroker) => Promise<T>,
  options: BrokerOptions = {},
): Promise<T> {
  const given = urlOf(url);
  if (given.startsWith('memory://')) {
    throw new UsageError(
      `'${withoutCredentials(given)}' is the memory of one process, which no other process can reach: give a redis:// URL`,
    );
  }
  // Imported here, so that --help and usage errors work without ioredis.
  const { RedisBroker } = await import('../index.ts');
  const broker = new RedisBroker(connectionOf(given), options);
  try {
    return await use(broker);
  } catch (error) {
    if (!/\bMOVED \d+ /.test(messageOf(error))) throw error;
    const nodes = withoutCredentials(given).replace(/^(rediss?):/, '$1+cluster:');
    throw new UsageError(
      `'${withoutCredentials(given)}' is a node of a cluster: give ${nodes}, with more nodes after commas`,
      { cause: error },
    );
  } finally {
    await broker.stop();
  }
}

/** What a broker connects to: a cluster where the URL is `redis+cluster://` or `rediss+cluster://`, by one node or several. */
function connectionOf(url: string): string | ClusterConnection {
  const [, scheme, login = '', hosts = ''] =
    /^(rediss?)\+cluster:\/\/(?:([^/]*)@)?([^/@]*)\/?$/i.exec(url) ?? [];
  if (scheme === undefined) return url;
  const [user = '', ...password] = login.split(':').map(decodeURIComponent);
  return {
    cluster: hosts.split(','),
    // Also for the nodes that these tell of.
    redisOptions: {
      ...(user !== '' && { username: user }),
      ...(password.length > 0 && { password: password.join(':') }),
      ...(scheme.toLowerCase() === 'rediss' && { tls: {} }),
    },
  };
}

/** The destination with this name, of the kind that the flags say; a channel by default. Throws `UsageError` for two kinds. */
export function destination(
  name: string,
  kinds: { channel?: boolean; list?: boolean; stream?: boolean },
): { channel: string } | { list: string } | { stream: string } {
  const given = (['channel', 'list', 'stream'] as const).filter((kind) => kinds[kind] === true);
  if (given.length > 1) throw new UsageError(`'${name}': give only one of --${given.join(', --')}`);
  if (name === '') throw new UsageError('the address is empty');
  const [kind] = given;
  if (kind === 'list') return { list: name };
  return kind === 'stream' ? { stream: name } : { channel: name };
}

/** Parses the body: the operand is JSON, or `-` for JSON from stdin. */
export async function bodyOf(operand: string): Promise<unknown> {
  const json = operand === '-' ? await text(process.stdin) : operand;
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    const where = operand === '-' ? 'stdin' : `'${operand}'`;
    throw new UsageError(
      `${where} is not JSON (${messageOf(error)}); a string needs its own quotes: '"text"'`,
      { cause: error },
    );
  }
}

export function headersOf(given: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    given.map((header) => {
      const at = header.indexOf('=');
      if (at < 1) throw new UsageError(`--header: expected key=value, got '${header}'`);
      if (header.startsWith('redstart-')) {
        const hint = header.startsWith('redstart-key=') ? ': use --key' : '';
        throw new UsageError(
          `--header: names that begin with 'redstart-' are for redstart, got '${header}'${hint}`,
        );
      }
      return [header.slice(0, at), header.slice(at + 1)];
    }),
  );
}

function urlOf(url: string | undefined): string {
  return url ?? (process.env['REDIS_URL'] || DEFAULT_URL);
}
