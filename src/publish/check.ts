import { SetupError } from '../errors.ts';
import type { HeadersInput } from '../message/headers.ts';
import { isSchema, type Schema } from '../message/schema.ts';
import { checkKeys, expectCount } from '../internal/checks.ts';

/** Everything that may stand beside the destination. */
export interface AnyOptions {
  channel?: string;
  sharded?: boolean;
  list?: string;
  stream?: string;
  maxlen?: number;
  headers?: HeadersInput;
  correlationId?: string;
  replyTo?: unknown;
  rpc?: boolean;
  timeout?: number | null;
  signal?: AbortSignal;
  reply?: Schema;
  itemTimeout?: number | null;
  window?: number;
  max?: number;
}

const KNOWN = new Set([
  ...['channel', 'sharded', 'list', 'stream', 'maxlen', 'headers', 'correlationId'],
  ...['replyTo', 'rpc', 'timeout', 'signal', 'reply'],
]);

export const STREAM_KNOWN = new Set([
  ...['channel', 'sharded', 'list', 'stream', 'maxlen', 'headers', 'correlationId'],
  ...['timeout', 'itemTimeout', 'window', 'signal', 'reply'],
]);

export const GATHER_KNOWN = new Set([
  ...['channel', 'sharded', 'headers', 'correlationId', 'timeout', 'max', 'signal', 'reply'],
]);

/** The options of one message, as an object. Throws `SetupError` for an unknown one. */
export function checked(
  to: unknown,
  where: string,
  known: ReadonlySet<string> = KNOWN,
): AnyOptions {
  if (typeof to === 'string') return { channel: to };
  if (typeof to !== 'object' || to === null) {
    throw new SetupError(
      `${where}: say where to, with a channel's name or { channel }, { list } or { stream }; got ${to === null ? 'null' : typeof to}`,
    );
  }
  // Asked for every message, so the list of known keys is only spelled out for an unknown one.
  for (const key in to) if (!known.has(key)) checkKeys(to, [...known], where, where);
  const { headers, maxlen, reply } = to as AnyOptions;
  expectCount(maxlen, 'maxlen', where);
  if (reply !== undefined && !isSchema(reply)) {
    throw new SetupError(
      `${where}: 'reply' must implement Standard Schema, as those of zod, valibot and arktype do`,
    );
  }
  if (headers === undefined) return to;
  if (typeof headers !== 'object' || headers === null) {
    throw new SetupError(
      `${where}: 'headers' must be an object, got ${headers === null ? 'null' : typeof headers}`,
    );
  }
  if (headers['reply_to'] !== undefined) {
    throw new SetupError(
      `${where}: the header 'reply_to' is the system's: use the option 'replyTo'`,
    );
  }
  return to;
}

/** Throws for options that only a call has. */
export function forbidCall(options: AnyOptions, where: string): void {
  if (options.rpc === true) {
    throw new SetupError(
      `${where}: a batch waits for no answers: leave 'rpc' out, and call one by one with publish`,
    );
  }
  const key = (['timeout', 'signal', 'reply'] as const).find((name) => options[name] !== undefined);
  if (key !== undefined) {
    throw new SetupError(
      `${where}: '${key}' only means something for a call: add 'rpc: true', or leave it out`,
    );
  }
}
