/** The name of a class of redstart, on its prototype. Another copy of the package has the same symbol. */
const CLASS = Symbol.for('redstart:class');

/**
 * Marks a class of redstart, so that its instances are recognised by another copy of the package:
 * a monorepo, a bundler or a package manager can load two, and `instanceof` compares prototypes.
 */
export function brand(type: { readonly prototype: object }, name: string): void {
  Object.defineProperty(type.prototype, CLASS, { value: name });
}

/** The brand of the nearest class of redstart that a value is an instance of, in whichever copy. */
export function brandOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as { readonly [CLASS]?: string })[CLASS];
}

/** What a class is compared by: its brand, which is the same in every copy, or the prototype of any other class. */
export function identityOf(prototype: object): unknown {
  return Object.hasOwn(prototype, CLASS) ? brandOf(prototype) : prototype;
}

/** `instanceof` across copies of the package, for `Symbol.hasInstance` of branded classes. */
export function isInstance(type: { readonly prototype: object }, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const wanted = identityOf(type.prototype);
  try {
    let prototype = Object.getPrototypeOf(value) as object | null;
    while (prototype !== null && identityOf(prototype) !== wanted)
      prototype = Object.getPrototypeOf(prototype) as object | null;
    return prototype !== null;
  } catch {
    return false; // a proxy that cannot be looked at
  }
}

/**
 * The base class of all errors that redstart throws. Each has a stable `code`, also if it comes from
 * another process. `instanceof` also works for errors of another copy of this package.
 */
export class RedstartError extends Error {
  /** Upper-case; never changed or reused, so programs can test for it. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }
}

/** Wrong use of the library, such as an invalid option (code `SETUP`). Thrown when the mistake is made, not at the first message. */
export class SetupError extends RedstartError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('SETUP', message, options);
  }
}

/** A step of an app's start or stop that failed. */
export interface Failure {
  readonly step: string;
  readonly error: unknown;
}

/**
 * An app could not be started (code `STARTUP`), or an error occurred while it stopped (`SHUTDOWN`).
 * `cause` is that error; if there were several, an `AggregateError` of them.
 */
export class AppError extends RedstartError {
  declare readonly code: 'STARTUP' | 'SHUTDOWN';

  /** @internal */
  constructor(code: 'STARTUP' | 'SHUTDOWN', failures: readonly Failure[]) {
    const what = code === 'STARTUP' ? 'could not be started' : 'did not stop cleanly';
    const list = failures.map(({ step, error }) => `${step}: ${messageOf(error)}`).join('; ');
    const errors = failures.map(({ error }) => error);
    const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, list);
    super(code, `the app ${what}: ${list}`, { cause });
  }
}

/** The server cannot be reached, refused the connection, cannot open a subscriber now, or refuses a question about a place (code `CONNECTION`). `address` is the server's or the place's, `cause` the reason. */
export class ConnectionError extends RedstartError {
  readonly address: string;

  constructor(address: string, message: string, options?: { cause?: unknown }) {
    super('CONNECTION', message, options);
    this.address = address;
  }
}

/** The broker is stopped or stopping, so nothing can be sent and no answer will come (code `BROKER_CLOSED`). */
export class BrokerClosedError extends RedstartError {
  constructor(message = 'the broker is closed') {
    super('BROKER_CLOSED', message);
  }
}

/** Redis refused a message, or the connection was lost before Redis confirmed it (code `SEND`). `address` is the destination. */
export class SendError extends RedstartError {
  readonly address: string;

  constructor(address: string, cause: unknown) {
    super('SEND', `cannot send to ${address}: ${messageOf(cause)}`, { cause });
    this.address = address;
  }
}

/** Redis refused some messages of a pipeline (code `PIPELINE`). `results` has each in order; `cause` is the first refusal. */
export class PipelineError extends RedstartError {
  readonly results: readonly PromiseSettledResult<number | string>[];

  constructor(results: readonly PromiseSettledResult<number | string>[]) {
    const refused = results.filter((result) => result.status === 'rejected');
    const cause: unknown = refused[0]?.reason;
    super(
      'PIPELINE',
      `${refused.length} of ${results.length} messages were refused: ${messageOf(cause)}`,
      { cause },
    );
    this.results = results;
  }
}

/** An id was used before for a body of other bytes or another content type (code `ID_CONFLICT`). Nothing was sent, and sending the same again is refused again. */
export class IdConflictError extends RedstartError {
  constructor(message: string) {
    super('ID_CONFLICT', message);
  }
}

/** No call with this id runs or has a kept answer (code `UNKNOWN_ID`). It is safe to make the call again under the id. */
export class UnknownIdError extends RedstartError {
  constructor(message: string) {
    super('UNKNOWN_ID', message);
  }
}

/** A body that JSON cannot hold, a header of the wrong type, headers that are too long (code `ENCODE`). */
export class EncodeError extends RedstartError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('ENCODE', message, options);
  }
}

/** Bytes that begin as a frame and are no valid one, or a body that does not match its content type (code `DECODE`). */
export class DecodeError extends RedstartError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('DECODE', message, options);
  }
}

/** One problem that a schema found: its path in the value, and what is wrong. */
export interface MessageIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** A body does not fit its schema (code `INVALID_MESSAGE`). `issues` is what the schema found, never the value itself. */
export class InvalidMessageError extends RedstartError {
  readonly issues: readonly MessageIssue[];

  constructor(what: string, issues: readonly MessageIssue[]) {
    const list = issues
      .map((issue) => (issue.path.length > 0 ? `${issue.path.join('.')}: ` : '') + issue.message)
      .join('; ');
    super('INVALID_MESSAGE', `${what} does not fit its schema: ${list}`);
    this.issues = issues;
  }
}

/** No answer came in time (code `RPC_TIMEOUT`). The handler may still run, or the request may still be unread. */
export class RpcTimeoutError extends RedstartError {
  readonly address: string;
  /** The call's timeout in milliseconds. */
  readonly timeout: number;
  readonly correlationId: string;

  /** `known`: what is known of the reason, after a colon. */
  constructor(address: string, timeout: number, correlationId: string, known?: string) {
    const text = `no answer from ${address} within ${timeout} ms (correlation id ${correlationId})`;
    super('RPC_TIMEOUT', known === undefined ? text : `${text}: ${known}`);
    this.address = address;
    this.timeout = timeout;
    this.correlationId = correlationId;
  }
}

/** Nobody is subscribed to the channel of a call: PUBLISH reached no receiver (code `NO_RESPONDERS`). */
export class NoRespondersError extends RedstartError {
  readonly address: string;

  constructor(address: string) {
    super('NO_RESPONDERS', `nobody is subscribed to ${address}`);
    this.address = address;
  }
}

/** The request reached its handler after its deadline, and was not handled (code `EXPIRED`). It is safe to call again. */
export class ExpiredError extends RedstartError {
  constructor(message: string) {
    super('EXPIRED', message);
  }
}

/** The connection broke, so items of a streamed answer may be lost (code `STREAM_BROKEN`). Those before are complete and in order. */
export class StreamBrokenError extends RedstartError {
  constructor(message: string) {
    super('STREAM_BROKEN', message);
  }
}

/** The reason of a handler's aborted `ctx.signal`: its caller gave up, disconnected, or its timeout passed (code `CANCELLED`). */
export class CancelledError extends RedstartError {
  constructor(message: string) {
    super('CANCELLED', message);
  }
}

/** `rpc.maxPending` calls wait for an answer, or 65 536 messages for the connection (code `OVERLOADED`). Nothing was sent. */
export class OverloadedError extends RedstartError {
  constructor(maxPending: number, message?: string) {
    const calls = `${maxPending} calls are waiting for an answer already: nothing was sent (rpc.maxPending)`;
    super('OVERLOADED', message ?? calls);
  }
}

/** A message reached a subscriber, but no handler's `filter` accepts it (code `NO_MATCHING_HANDLER`). */
export class NoMatchingHandlerError extends RedstartError {
  constructor(address: string) {
    super('NO_MATCHING_HANDLER', `no handler of ${address} accepts this message`);
  }
}

/** The handler refused the message (`ctx.reject()`, `ctx.nack()`) or never answers (`noReply`); code `NO_REPLY`. */
export class NoReplyError extends RedstartError {
  constructor(message: string) {
    super('NO_REPLY', message);
  }
}

/**
 * An error that a handler throws as its answer. `code`, `message` and `data` are sent to the caller,
 * whose call rejects with an `RpcError`. It is not logged, because the handler did not fail.
 */
export class RpcError<Code extends string = string, Data = unknown> extends RedstartError {
  declare readonly code: Code;
  /** Any value that JSON can hold. */
  readonly data: Data;

  constructor(code: Code, message: string = code, data?: Data, options?: { cause?: unknown }) {
    super(code, message, options);
    this.data = data as Data;
  }
}

/**
 * The handler of a call failed (code `REMOTE`). Its error's name, message, code and data were sent
 * here; the stack never is. An error of redstart has its own class here, too: a body that the handler
 * refused is an {@link InvalidMessageError} with its issues. `instanceof RemoteError` is true for
 * every error that came from another process.
 */
export class RemoteError extends RedstartError {
  /** The name of the error that the handler threw. */
  readonly remoteName: string;
  /** Its `code`, if it had one. */
  readonly remoteCode: string | undefined;
  /** Its `data`; of an {@link InvalidMessageError}, its issues. */
  readonly data: unknown;
  /** The parts of an AggregateError that the handler threw, 16 at most. */
  declare readonly errors?: readonly RedstartError[];

  constructor(remote: {
    name: string;
    message: string;
    code?: string | undefined;
    data?: unknown;
  }) {
    super('REMOTE', remote.message);
    this.remoteName = remote.name;
    this.remoteCode = remote.code;
    this.data = remote.data;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof RedstartError && 'remoteName' in value;
  }
}

/**
 * Thrown by a handler that cannot handle the message now. The message is delivered again after `after` milliseconds (default:
 * the pause of `retry.backoff`), and this delivery is not counted. A caller continues to wait. Code `RETRY`.
 */
export class Retry extends RedstartError {
  /** Milliseconds; undefined for the default. */
  readonly after: number | undefined;

  constructor(options: { after?: number; reason?: string; cause?: unknown } = {}) {
    const { after, reason = 'the handler asks for the message again', cause } = options ?? {};
    if (after !== undefined && !(typeof after === 'number' && after >= 0 && after < 2 ** 53)) {
      throw new SetupError(`Retry: 'after' must be milliseconds, 0 or more, got ${String(after)}`);
    }
    super('RETRY', reason, { cause });
    this.after = after;
  }
}

/**
 * Thrown by a handler that will never handle the message. The message goes to the dead letters and is not delivered again; a
 * caller gets this error. Code `REJECT`.
 */
export class Reject extends RedstartError {
  constructor(reason: string, options?: { cause?: unknown }) {
    super('REJECT', reason, options);
  }
}

/** A handler ran longer than the option `timeout` allows. Its message counts as failed. Code `HANDLER_TIMEOUT`. */
export class HandlerTimeoutError extends RedstartError {
  /** Milliseconds that the handler had. */
  readonly timeout: number;

  /** @internal */
  constructor(timeout: number) {
    super('HANDLER_TIMEOUT', `the handler has not ended within ${timeout} ms`);
    this.timeout = timeout;
  }
}

/** Why a message is a dead letter: it was delivered `maxDeliveries` times, and its handler never finished (code `EXHAUSTED`). */
export class ExhaustedError extends RedstartError {
  /** @internal */
  constructor(deliveries: number) {
    super('EXHAUSTED', `delivered ${deliveries} times, and never handled to the end`);
  }
}

/** Why a message is a dead letter: its handler called `ctx.reject()` (code `REJECTED`). */
export class RejectedError extends RedstartError {
  /** @internal */
  constructor() {
    super('REJECTED', 'the handler rejected the message');
  }
}

/**
 * The message of a thrown value, whether it is an Error or not. Never throws: an object without a
 * prototype, a proxy or a getter that throws has a text, too.
 */
export function messageOf(thrown: unknown): string {
  try {
    if (typeof thrown !== 'object' || thrown === null) return String(thrown);
    const { message } = thrown as { message?: unknown };
    if (typeof message !== 'string') return String(thrown);
    if (message !== '' || !(thrown instanceof AggregateError)) return message;
    // Node's own, of a refused connection, has no message.
    return thrown.errors.map(messageOf).join(', ');
  } catch {
    return 'a value that cannot be read';
  }
}

// Every class of errors must be in this table: a minifier changes the name of the class itself.
const CLASSES = {
  RedstartError,
  SetupError,
  AppError,
  ConnectionError,
  BrokerClosedError,
  SendError,
  PipelineError,
  IdConflictError,
  UnknownIdError,
  EncodeError,
  ExpiredError,
  DecodeError,
  InvalidMessageError,
  RpcTimeoutError,
  NoRespondersError,
  StreamBrokenError,
  CancelledError,
  OverloadedError,
  NoMatchingHandlerError,
  NoReplyError,
  RpcError,
  RemoteError,
  Retry,
  Reject,
  HandlerTimeoutError,
  ExhaustedError,
  RejectedError,
};

for (const [name, type] of Object.entries(CLASSES)) {
  type.prototype.name = name;
  brand(type, name);
}
