import { text } from 'node:stream/consumers';
import type { RedisBroker } from '../index.ts';
import { messageOf } from '../errors.ts';
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

export const KIND_OPTIONS = {
  channel: { type: 'boolean', text: 'the address is a channel (the default)' },
  list: { type: 'boolean', text: 'the address is a list' },
  stream: { type: 'boolean', text: 'the address is a stream' },
} as const satisfies Options;

export const HEADER_OPTION = {
  header: { type: 'string', multiple: true, value: 'key=value', text: 'a header; may be repeated' },
} as const satisfies Options;

/** Where the command's Redis is, without a password. */
export function shownUrl(url: string | undefined): string {
  return urlOf(url).replace(/^([a-z]+:\/\/)[^/]*@/i, '$1…@');
}

/** Lends a broker that is stopped afterwards. */
export async function withBroker<T>(
  url: string | undefined,
  use: (broker: RedisBroker) => Promise<T>,
): Promise<T> {
  const connection = urlOf(url);
  if (connection.startsWith('memory://')) {
    throw new UsageError(
      `'${connection}' is the memory of one process, so there is nobody to talk to: give a redis:// URL`,
    );
  }
  // Here, so that --help and mistakes need no Redis client.
  const { RedisBroker } = await import('../index.ts');
  const broker = new RedisBroker(connection);
  try {
    return await use(broker);
  } finally {
    await broker.stop();
  }
}

/** The destination that an address and the flags name. */
export function destination(
  name: string,
  kinds: { channel?: boolean; list?: boolean; stream?: boolean },
): { channel: string } | { list: string } | { stream: string } {
  const given = (['channel', 'list', 'stream'] as const).filter((kind) => kinds[kind] === true);
  if (given.length > 1)
    throw new UsageError(`'${name}' is one of --${given.join(' and --')}, not both`);
  if (name === '') throw new UsageError('the address is empty');
  const [kind] = given;
  if (kind === 'list') return { list: name };
  return kind === 'stream' ? { stream: name } : { channel: name };
}

/** A body: JSON, or `-` for JSON that stdin has. */
export async function bodyOf(operand: string): Promise<unknown> {
  const json = operand === '-' ? await text(process.stdin) : operand;
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    const where = operand === '-' ? 'stdin' : `'${operand}'`;
    throw new UsageError(
      `${where} is not JSON (${messageOf(error)}); a text has quotes of its own: '"text"'`,
      { cause: error },
    );
  }
}

export function headersOf(given: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    given.map((header) => {
      const at = header.indexOf('=');
      if (at < 1) throw new UsageError(`--header: expected key=value, got '${header}'`);
      return [header.slice(0, at), header.slice(at + 1)];
    }),
  );
}

function urlOf(url: string | undefined): string {
  return url ?? (process.env['REDIS_URL'] || DEFAULT_URL);
}
