import type { Dependency, DependencyValue, MessageContext } from '../api/context.ts';
import type { Message } from '../api/message.ts';
import type { Destination } from '../api/destination.ts';
import type { Publishing } from '../api/publishing.ts';
import type { MessageState } from '../api/state.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { CancelledError, SetupError } from '../errors.ts';
import {
  checkOptions,
  count,
  func,
  functions,
  got,
  isObject,
  nonEmptyText,
  wrong,
  type Check,
  type Checks,
} from '../internal/checks.ts';
import { randomId } from '../internal/ids.ts';
import { silentLogger, type Logger } from '../internal/logger.ts';
import {
  CONTENT_TYPE,
  CORRELATION_ID,
  expectedHeaders,
  headerText,
  isPlainHeaders,
  KEY,
  MESSAGE_ID,
  REPLY_TO,
  type HeadersInput,
} from '../message/headers.ts';
import type { MessageSource } from '../message/message.ts';
import { isContract } from '../api/contract.ts';
import { describe, targetOf } from '../transport/address.ts';

export interface TestContextOptions {
  /** Headers of the message, `correlation_id`, `content-type` and `reply_to` included. Default: none but the correlation id. */
  headers?: HeadersInput;
  /** The correlation id of the message. Default: that in `headers`, or a new id. */
  correlationId?: string;
  /** The parameters of the template of the channel. Default: none. */
  path?: Readonly<Record<string, string>>;
  /** What middleware and `inject` would have put into `ctx.state`. Default: empty. */
  state?: Record<string, unknown>;
  /** Where the message comes from. Default: the channel `test`. */
  source?: MessageSource;
  /** How often the message was delivered. Default 1. */
  deliveryCount?: number;
  /** What `ctx.logger` writes to. Default: nowhere. */
  logger?: Logger;
  /**
   * Makes the answers of calls that the handler makes; `to` is what the call was sent to. Default: every answer is
   * `undefined`, and `requestMany` gives no items.
   */
  answer?: (body: unknown, to: unknown) => unknown;
}

/** One message that the handler sent. */
export interface SentMessage {
  readonly body: unknown;
  /** As it was given: a channel's name, a destination with options, or a contract. */
  readonly to: unknown;
  /** The options that were given beside it, as with a contract: `id`, `delay`, `headers`. Not there where none were. */
  readonly options?: object;
}

/** A context that no broker stands behind. */
export interface TestContext<Body> extends MessageContext<Body> {
  /** How the handler settled its message; undefined where it did not. */
  readonly settlement: 'ack' | 'nack' | 'reject' | undefined;
  /** What the handler sent, by `ctx.publish` and its kin and by `ctx.broker`, in order. */
  readonly sent: readonly SentMessage[];
  /** Aborts `ctx.signal`, as a caller does that gives up. */
  abort(reason?: Error): void;
}

const object: Check = (value, key, where) => {
  if (!isObject(value)) throw wrong(where, key, 'an object', value);
};

const headers: Check = (value, key, where) => {
  if (!isPlainHeaders(value)) throw wrong(where, key, expectedHeaders(value), value);
};

const OPTIONS = {
  headers,
  correlationId: nonEmptyText,
  path: object,
  state: object,
  source: object,
  deliveryCount: count,
  logger: functions(['debug', 'info', 'warn', 'error']),
  answer: func,
} satisfies Checks<TestContextOptions>;

/**
 * A context for a unit test of one handler, without a broker:
 * `new Orders().place(order, testContext(order, { headers: { tenant: 'a' } }))`. What the handler
 * sends is recorded in `sent`. Throws `SetupError` for an unknown option, or one of another type.
 */
export function testContext<Body>(body: Body, options: TestContextOptions = {}): TestContext<Body> {
  if (!isObject(options))
    throw new SetupError(`testContext: options must be an object, got ${got(options)}`);
  checkOptions(options, OPTIONS, 'testContext', 'testContext');
  const { path = {}, logger = silentLogger, answer } = options;
  const message = messageOf(body, options);
  const controller = new AbortController();
  const sent: SentMessage[] = [];
  const made = new Map<Dependency, unknown>();
  let settlement: TestContext<Body>['settlement'];
  const settle = async (how: 'ack' | 'nack' | 'reject'): Promise<void> => {
    settlement ??= how;
  };
  const broker = recording(sent, answer);
  const { publish, requestMany } = broker as unknown as Readonly<
    Record<'publish' | 'requestMany', (body: unknown, to: unknown, more?: object) => unknown>
  >;
  const context: TestContext<Body> = {
    message,
    messages: [message],
    path,
    signal: controller.signal,
    logger,
    subscriber: subscriberOf(message.source),
    broker,
    state: { ...options.state } as MessageState,
    publish: broker.publish,
    request: broker.request,
    requestMany: broker.requestMany,
    gather: broker.gather,
    clientFor: (contracts) =>
      Object.fromEntries(
        Object.entries(contracts).map(([name, contract]) => [
          name,
          (given: unknown, more?: object) =>
            contract.many ? requestMany(given, contract, more) : publish(given, contract, more),
        ]),
      ) as never,
    resolve: async <D extends Dependency>(dependency: D) => {
      if (!made.has(dependency)) made.set(dependency, await first(dependency(context)));
      return made.get(dependency) as DependencyValue<D>;
    },
    ack: () => settle('ack'),
    nack: () => settle('nack'),
    reject: () => settle('reject'),
    get settlement() {
      return settlement;
    },
    sent,
    abort: (reason = new CancelledError('the caller gave up')) => controller.abort(reason),
  };
  return context;
}

/** As if the handler were registered for the message's own source. */
function subscriberOf(source: MessageSource): SubscriberInfo {
  const target = targetOf(source, 'testContext');
  return {
    title: 'test',
    description: undefined,
    address: describe(target),
    kind: target.kind,
    name: target.name,
    group: undefined,
    batch: false,
    class: undefined,
    method: undefined,
  };
}

function messageOf<Body>(body: Body, options: TestContextOptions): Message<Body> {
  const { source = { channel: 'test' }, deliveryCount = 1 } = options;
  const given = Object.entries(options.headers ?? {});
  const headers = Object.fromEntries(given.map(([name, value]) => [name, headerText(name, value)]));
  const correlationId = options.correlationId ?? headers[CORRELATION_ID] ?? randomId(22);
  const id = 'stream' in source ? '1-0' : undefined;
  return {
    body,
    raw: Buffer.alloc(0),
    source,
    id,
    messageId: headers[MESSAGE_ID] ?? id ?? randomId(22),
    deliveryCount,
    headers: { ...headers, [CORRELATION_ID]: correlationId },
    correlationId,
    contentType: headers[CONTENT_TYPE],
    key: headers[KEY],
    replyTo: headers[REPLY_TO],
  };
}

/** The same as `Publishing`, of functions that need no `this`. */
type Recording = { readonly [K in keyof Publishing]: Publishing[K] };

/** Records what is sent. Calls resolve with what `answer` returns; plain messages with 1, an entry's id, or a handle. */
function recording(sent: SentMessage[], answer: TestContextOptions['answer']): Recording {
  const record = async (
    body: unknown,
    to: unknown,
    isCall: boolean,
    options: object | undefined,
  ): Promise<unknown> => {
    sent.push(options === undefined ? { body, to } : { body, to, options });
    if (isCall) return answer?.(body, to);
    if (isLater(to) || isLater(options)) return randomId(16);
    return kindOf(to) === 'stream' ? '1-0' : 1;
  };
  const whole = async (body: unknown, to: unknown, options?: object): Promise<Message> =>
    messageOf(await record(body, to, true, options), {});
  return {
    publish: (body: unknown, to: unknown, options?: object) =>
      record(body, to, isCall(to), options) as never,
    request: (body: unknown, to: unknown, options?: object) => whole(body, to, options) as never,
    requestMany: async function* requestMany(body: unknown, to: unknown, options?: object) {
      yield* ((await record(body, to, true, options)) ?? []) as Iterable<unknown>;
    } as never,
    gather: async (body: unknown, to: unknown, options?: object) => {
      const answers = [await whole(body, to, options)];
      return { answers, errors: [], expected: 1, missing: [] } as never;
    },
    publishBatch: async (bodies: readonly unknown[], to: unknown, options?: object) => {
      const replies = await Promise.all(bodies.map((body) => record(body, to, false, options)));
      const isLength = kindOf(to) === 'list' && !isLater(to) && !isLater(options);
      return (isLength ? replies.length : replies) as never;
    },
  };
}

/** Whether options say that a message is sent later: it has a handle then. */
function isLater(options: unknown): boolean {
  const { delay, at } = (options ?? {}) as { delay?: unknown; at?: unknown };
  return typeof options === 'object' && (delay !== undefined || at !== undefined);
}

function isCall(to: unknown): boolean {
  if (isContract(to)) return to.reply !== undefined;
  return (to as { rpc?: unknown } | null)?.rpc === true;
}

function kindOf(to: unknown): string {
  const address: unknown = isContract(to) ? to.address : to;
  return targetOf(
    typeof address === 'string' ? { channel: address } : (address as Destination),
    'testContext',
  ).kind;
}

/** The value, the promise's value, or what a generator yields first. */
async function first(made: unknown): Promise<unknown> {
  const maker = made as Partial<Generator | AsyncGenerator> | null | undefined;
  if (typeof maker?.next !== 'function') return made;
  return (await maker.next()).value;
}
