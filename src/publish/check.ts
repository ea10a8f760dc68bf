import type { Destination } from '../api/destination.ts';
import { schema } from '../api/from-type.ts';
import { address, headers, signal } from '../api/option-checks.ts';
import { NO_ID, id, idWindow } from '../api/identity.ts';
import type {
  GatherOptions,
  RpcOptions,
  PublishOptions,
  RequestManyOptions,
} from '../api/publishing.ts';
import { NEVER_LATER, TIME } from '../api/time.ts';
import { SetupError } from '../errors.ts';
import { monotonicTime, unixTime } from '../internal/clock.ts';
import {
  checkKeys,
  checkedByReader,
  count,
  flag,
  got,
  millisecondsOrNull,
  oneOf,
  text,
  wrong,
  type Check,
  type Checks,
  type Given,
} from '../internal/checks.ts';
import { key, type Key } from './keys.ts';
import type { Extras, TURN } from '../message/extras.ts';
import { MESSAGE_ID, type HeadersInput } from '../message/headers.ts';
import type { Schema } from '../message/schema.ts';

/** All options of one message or call, with its destination. */
export interface AnyOptions {
  channel?: string;
  sharded?: boolean;
  list?: string;
  stream?: string;
  maxlen?: number;
  headers?: HeadersInput;
  correlationId?: string;
  key?: Key;
  replyTo?: unknown;
  rpc?: boolean;
  timeout?: number | null;
  signal?: AbortSignal;
  reply?: Schema;
  replyChannel?: 'shared' | 'dedicated';
  itemTimeout?: number | null;
  window?: number;
  max?: number;
  id?: string | ((body: unknown, index: number) => string);
  idWindow?: number;
  delay?: number;
  at?: Date | number;
  expires?: number;
  [TURN]?: Extras['turn'];
}

/** `targetOf` checks the names. The sender refuses `maxlen` for a channel or a list. */
const DESTINATION = {
  channel: checkedByReader,
  sharded: checkedByReader,
  list: checkedByReader,
  stream: checkedByReader,
  maxlen: count,
} satisfies Checks<Destination>;

const CALL = {
  headers,
  correlationId: text,
  key,
  timeout: millisecondsOrNull,
  signal,
  reply: schema,
};

const PUBLISH = {
  ...DESTINATION,
  ...CALL,
  replyChannel: oneOf(['shared', 'dedicated']),
  replyTo: address,
  rpc: flag,
  id,
  idWindow,
  ...TIME,
} satisfies Checks<Destination & (PublishOptions | RpcOptions)>;

/** No responder sends more items ahead than this. */
const MAX_WINDOW = 1_024;

const window: Check = (value, key, where) => {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_WINDOW)
    return;
  throw wrong(where, key, `a whole number, 1 to ${MAX_WINDOW}`, value, 'number');
};

const STREAM = {
  ...DESTINATION,
  ...CALL,
  itemTimeout: millisecondsOrNull,
  window,
  ...NO_ID,
  ...NEVER_LATER,
} satisfies Checks<Destination & RequestManyOptions>;

const { key: _, ...UNKEYED } = CALL;

const GATHER = {
  ...UNKEYED,
  channel: checkedByReader,
  sharded: checkedByReader,
  max: count,
  ...NO_ID,
  ...NEVER_LATER,
} satisfies Checks<GatherOptions>;

/** The checks of one kind of message. A Map: the lookup runs for every message. */
export type MessageChecks = ReadonlyMap<string, Check>;

const PUBLISH_CHECKS: MessageChecks = new Map(Object.entries(PUBLISH));
export const STREAM_CHECKS: MessageChecks = new Map(Object.entries(STREAM));
export const GATHER_CHECKS: MessageChecks = new Map(Object.entries(GATHER));

/** The options of one message, as an object. Throws `SetupError` for an unknown option and for an invalid value. */
export function checked(
  to: unknown,
  where: string,
  checks: MessageChecks = PUBLISH_CHECKS,
): AnyOptions {
  if (typeof to === 'string') return { channel: to };
  if (typeof to !== 'object' || to === null) {
    throw new SetupError(
      `${where}: expected a destination: a channel's name, { channel }, { list } or { stream }; got ${got(to)}`,
    );
  }
  for (const key in to) {
    const check = checks.get(key);
    // This runs for every message, so the list of known keys is made only for an unknown one.
    if (check === undefined) {
      checkKeys(to, [...checks.keys()], where, where);
      continue;
    }
    if (check === checkedByReader) continue;
    const value = (to as Given)[key];
    if (value !== undefined) check(value, key, where, to as Given);
  }
  return to;
}

/** Whether an answer is waited for. */
export function isCall(verb: string, options: AnyOptions): boolean {
  return verb === 'request' || options.rpc === true;
}

/** Throws {@link SetupError} if options of a call are given to a message that waits for no answer. */
export function forbidCall(options: AnyOptions, where: string): void {
  if (options.rpc === true) {
    throw new SetupError(
      `${where}: a batch cannot wait for answers: leave 'rpc' out, or make each call with publish`,
    );
  }
  const key = (['reply', 'replyChannel'] as const).find((name) => options[name] !== undefined);
  if (key !== undefined) {
    throw new SetupError(`${where}: '${key}' is only for calls: add 'rpc: true', or leave it out`);
  }
  const limit = (['timeout', 'signal'] as const).find((name) => options[name] !== undefined);
  if (limit !== undefined && where !== 'publish') {
    throw new SetupError(
      `${where}: '${limit}' is not an option of messages that are sent together: publish one by one, or leave it out`,
    );
  }
}

/** The call's timeout in milliseconds, but not more than the rest of the call that the current handler answers. */
export function timeLeft(timeout: number | null, deadline: number | undefined): number | null {
  if (deadline === undefined) return timeout;
  return Math.max(0, Math.min(timeout ?? Infinity, deadline - unixTime()));
}

/** When the caller of the message that is being handled leaves, in monotonic milliseconds. */
export function endsBy(deadline: number | undefined): number | undefined {
  return deadline === undefined ? undefined : monotonicTime() + deadline - unixTime();
}

/** Throws {@link SetupError} for options that a call does not have. */
export function checkCall(options: AnyOptions, verb: string): void {
  if (verb === 'request' && options.rpc !== undefined) {
    throw new SetupError("request: leave 'rpc' out: a request is always a call");
  }
  const { headers: given } = options;
  if (given !== undefined && given[MESSAGE_ID] !== undefined) {
    throw new SetupError(
      `${verb}: the header '${MESSAGE_ID}' of a call is set by redstart: use the option 'id'`,
    );
  }
  if (options.replyTo !== undefined) {
    throw new SetupError(
      `${verb}: 'replyTo' sends the answer to another address, and a call waits for it: leave one of them out`,
    );
  }
}
