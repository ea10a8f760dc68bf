/**
 * Every error that redstart throws. All extend {@link RedstartError} and carry a stable `code`, so
 * a caller can tell them apart across package copies and after a trip over the wire.
 */
export class RedstartError extends Error {
  /** Stable, upper-case, never reused: what programs test for. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static {
    this.prototype.name = 'RedstartError';
  }
}

/** A mistake in how the library is used, found when it is made and not at the first message. */
export class SetupError extends RedstartError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('SETUP', message, options);
  }

  static {
    this.prototype.name = 'SetupError';
  }
}

/** One step that failed. @internal */
export interface Failure {
  readonly step: string;
  readonly error: unknown;
}

/**
 * An app could not be started (code `STARTUP`), or not stopped without trouble (`SHUTDOWN`). `cause`
 * is what failed; where cleaning up failed, too, an `AggregateError` of all of it.
 */
export class AppError extends RedstartError {
  declare readonly code: 'STARTUP' | 'SHUTDOWN';

  /** @internal */
  constructor(code: 'STARTUP' | 'SHUTDOWN', failures: readonly Failure[]) {
    const what = code === 'STARTUP' ? 'could not be started' : 'did not stop cleanly';
    const told = failures.map(({ step, error }) => `${step}: ${messageOf(error)}`).join('; ');
    const errors = failures.map(({ error }) => error);
    const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, told);
    super(code, `the app ${what}: ${told}`, { cause });
  }

  static {
    this.prototype.name = 'AppError';
  }
}

/** The server cannot be reached, or refused us; `address` names it and `cause` says why. */
export class ConnectionError extends RedstartError {
  readonly address: string;

  constructor(address: string, message: string, options?: { cause?: unknown }) {
    super('CONNECTION', message, options);
    this.address = address;
  }

  static {
    this.prototype.name = 'ConnectionError';
  }
}

/** The broker was stopped, or is stopping: the call cannot be made or will not be answered. */
export class BrokerClosedError extends RedstartError {
  constructor(message = 'the broker is closed') {
    super('BROKER_CLOSED', message);
  }

  static {
    this.prototype.name = 'BrokerClosedError';
  }
}

/** Redis refused a message, or the connection was lost before it was taken. `address` is where it was to go. */
export class SendError extends RedstartError {
  readonly address: string;

  constructor(address: string, cause: unknown) {
    super('SEND', `cannot send to ${address}: ${messageOf(cause)}`, { cause });
    this.address = address;
  }

  static {
    this.prototype.name = 'SendError';
  }
}

/** Redis refused some messages of a pipeline. `results` says how each fared, in order; `cause` is the first refusal. */
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

  static {
    this.prototype.name = 'PipelineError';
  }
}

/** A value cannot be sent: not serialisable, a header of the wrong type, headers too long. */
export class EncodeError extends RedstartError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('ENCODE', message, options);
  }

  static {
    this.prototype.name = 'EncodeError';
  }
}

/** Bytes from the network that claim to be a frame and are none, or a body that is not what its content type says. */
export class DecodeError extends RedstartError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('DECODE', message, options);
  }

  static {
    this.prototype.name = 'DecodeError';
  }
}

/** One thing that a schema found wrong: where, and what. */
export interface MessageIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** A body that does not fit its schema. `issues` lists what the schema found; the rejected value is never included. */
export class InvalidMessageError extends RedstartError {
  readonly issues: readonly MessageIssue[];

  constructor(what: string, issues: readonly MessageIssue[]) {
    const list = issues
      .map((issue) => (issue.path.length > 0 ? `${issue.path.join('.')}: ` : '') + issue.message)
      .join('; ');
    super('INVALID_MESSAGE', `${what} does not fit its schema: ${list}`);
    this.issues = issues;
  }

  static {
    this.prototype.name = 'InvalidMessageError';
  }
}

/** No answer came in time. The handler may still be running, or the request may wait unread. */
export class RpcTimeoutError extends RedstartError {
  readonly address: string;
  /** Milliseconds that were allowed. */
  readonly timeout: number;
  readonly correlationId: string;

  constructor(address: string, timeout: number, correlationId: string) {
    super(
      'RPC_TIMEOUT',
      `no answer from ${address} within ${timeout} ms (correlation id ${correlationId})`,
    );
    this.address = address;
    this.timeout = timeout;
    this.correlationId = correlationId;
  }

  static {
    this.prototype.name = 'RpcTimeoutError';
  }
}

/** Nobody is subscribed to the channel of a call: PUBLISH reached no receiver. */
export class NoRespondersError extends RedstartError {
  readonly address: string;

  constructor(address: string) {
    super('NO_RESPONDERS', `nobody is subscribed to ${address}`);
    this.address = address;
  }

  static {
    this.prototype.name = 'NoRespondersError';
  }
}

/** Items of a stream were lost, or may have been: the connection broke. What came before is in order and whole. */
export class StreamBrokenError extends RedstartError {
  constructor(message: string) {
    super('STREAM_BROKEN', message);
  }

  static {
    this.prototype.name = 'StreamBrokenError';
  }
}

/** Why a handler's signal aborted: its caller gave up, is gone, or waits no longer. */
export class CancelledError extends RedstartError {
  constructor(message: string) {
    super('CANCELLED', message);
  }

  static {
    this.prototype.name = 'CancelledError';
  }
}

/** Too many calls are waiting for an answer already (`rpc.maxPending`). Nothing was sent. */
export class OverloadedError extends RedstartError {
  constructor(maxPending: number) {
    super(
      'OVERLOADED',
      `${maxPending} calls are waiting for an answer already: nothing was sent (rpc.maxPending)`,
    );
  }

  static {
    this.prototype.name = 'OverloadedError';
  }
}

/** A message reached a subscriber, but none of its handlers' filters let it in. */
export class NoMatchingHandlerError extends RedstartError {
  constructor(address: string) {
    super('NO_MATCHING_HANDLER', `no handler of ${address} accepts this message`);
  }

  static {
    this.prototype.name = 'NoMatchingHandlerError';
  }
}

/** The handler refused the message (`ctx.reject()`, `ctx.nack()`) or never answers (`noReply`). */
export class NoReplyError extends RedstartError {
  constructor(message: string) {
    super('NO_REPLY', message);
  }

  static {
    this.prototype.name = 'NoReplyError';
  }
}

/**
 * An error that is part of what a handler answers: `code`, `message` and `data` cross the wire, and
 * the caller catches an `RpcError` again. It is no failure, so it is not logged as one.
 */
export class RpcError<Code extends string = string, Data = unknown> extends RedstartError {
  declare readonly code: Code;
  /** Anything that JSON can carry. */
  readonly data: Data;

  constructor(code: Code, message: string = code, data?: Data, options?: { cause?: unknown }) {
    super(code, message, options);
    this.data = data as Data;
  }

  static {
    this.prototype.name = 'RpcError';
  }
}

/**
 * The handler at the other end failed. Name, message, code and data crossed the wire; a stack never
 * does. Errors of redstart's own are rebuilt as their class (a refused body is an
 * {@link InvalidMessageError} with its issues) and are `instanceof RemoteError` all the same, so
 * "did this come from the other end?" is one question.
 */
export class RemoteError extends RedstartError {
  /** The name of the error that the handler threw. */
  readonly remoteName: string;
  /** Its `code`, where it had one. */
  readonly remoteCode: string | undefined;
  /** Its `data`, or a schema's issues. */
  readonly data: unknown;

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

  static {
    this.prototype.name = 'RemoteError';
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof RedstartError && 'remoteName' in value;
  }
}

/** Why a message is in the dead letters: it was delivered `maxDeliveries` times, and no delivery was handled to its end. */
export class ExhaustedError extends RedstartError {
  /** @internal */
  constructor(deliveries: number) {
    super('EXHAUSTED', `delivered ${deliveries} times, and never handled to the end`);
  }

  static {
    this.prototype.name = 'ExhaustedError';
  }
}

/** Why a message is in the dead letters: its handler called `ctx.reject()`. */
export class RejectedError extends RedstartError {
  /** @internal */
  constructor() {
    super('REJECTED', 'the handler rejected the message');
  }

  static {
    this.prototype.name = 'RejectedError';
  }
}

/** The message of anything that was thrown, an Error or not. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
