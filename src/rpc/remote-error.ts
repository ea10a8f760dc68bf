import { defaultCodec } from '../message/codec.ts';
import type { ReceivedMessage } from '../message/message.ts';
import type { RedstartError } from '../errors.ts';
import {
  DecodeError,
  EncodeError,
  ExpiredError,
  IdConflictError,
  InvalidMessageError,
  NoMatchingHandlerError,
  NoReplyError,
  RpcError,
  StreamBrokenError,
  RemoteError,
  messageOf,
  type MessageIssue,
} from '../errors.ts';

/** Parts of an AggregateError that cross with it, and how deep such parts may have parts. */
const MAX_PARTS = 16;
const MAX_DEPTH = 4;

/** An error as it crosses the wire: plain data, and never a stack. */
interface WireError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | undefined;
  readonly data?: unknown;
  /** Plain data only: an error that led to this one may say what callers should not know. */
  readonly cause?: unknown;
  /** The parts of an AggregateError. */
  readonly errors?: readonly WireError[] | undefined;
  /** The handler threw an RpcError, or one of a class that extends it, whatever its name. */
  readonly rpc?: true | undefined;
}

/** Our own errors that a caller gets back as what they are. */
const REBUILT = new Map<string, { readonly prototype: object }>([
  ['INVALID_MESSAGE', InvalidMessageError],
  ['NO_MATCHING_HANDLER', NoMatchingHandlerError],
  ['NO_REPLY', NoReplyError],
  ['DECODE', DecodeError],
  ['ENCODE', EncodeError],
  ['EXPIRED', ExpiredError],
  ['STREAM_BROKEN', StreamBrokenError],
  ['ID_CONFLICT', IdConflictError],
]);

/** Never throws, whatever the handler threw: getters that throw and proxies are errors, too. */
export function toWire(error: unknown): WireError {
  try {
    return describe(error, 0);
  } catch {
    return { name: 'Error', message: messageOf(error) };
  }
}

function describe(error: unknown, depth: number): WireError {
  if (error instanceof InvalidMessageError) {
    const { name, message, code, issues } = error;
    return { name, message, code, data: { issues } };
  }
  if (typeof error !== 'object' || error === null)
    return { name: 'Error', message: messageOf(error) };
  // Also a plain object, as in `throw { code, message }`, and an error of another realm.
  const { name, code, data, cause, errors } = error as Readonly<Record<keyof WireError, unknown>>;
  const parts = Array.isArray(errors) && depth < MAX_DEPTH ? errors.slice(0, MAX_PARTS) : [];
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: textOf(error),
    code: typeof code === 'string' || typeof code === 'number' ? String(code) : undefined,
    data: isSendable(data) ? data : undefined,
    cause: isSendable(cause) && !isErrorLike(cause) ? cause : undefined,
    errors:
      error instanceof AggregateError && parts.length > 0
        ? parts.map((part) => describe(part, depth + 1))
        : undefined,
    rpc: error instanceof RpcError || undefined,
  };
}

function textOf(error: object): string {
  const message = messageOf(error);
  return message === '[object Object]' ? 'the handler threw an object without a message' : message;
}

function isErrorLike(value: unknown): boolean {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}

/** What a caller's promise rejects with. Bodies that are no error of ours still make one. */
export function errorIn(message: ReceivedMessage): RedstartError {
  return fromWire(message.decode(defaultCodec), 0);
}

function fromWire(body: unknown, depth: number): RedstartError {
  const { name, message, code, data, cause, errors, rpc } = (body ?? {}) as Partial<
    Record<keyof WireError, unknown>
  >;
  const error = new RemoteError({
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : 'the handler failed',
    code: typeof code === 'string' ? code : undefined,
    data,
  });
  if (cause !== undefined) error.cause = cause;
  if (Array.isArray(errors) && depth < MAX_DEPTH) {
    const parts = errors.slice(0, MAX_PARTS).map((part: unknown) => fromWire(part, depth + 1));
    Object.assign(error, { errors: parts });
  }
  if (error.remoteCode === undefined) return error;
  const isRpc = rpc === true || error.remoteName === 'RpcError';
  const own = isRpc ? RpcError : REBUILT.get(error.remoteCode);
  if (own === undefined) return error;
  Object.setPrototypeOf(error, own.prototype);
  const issues = (data as { issues?: readonly MessageIssue[] } | undefined)?.issues;
  return Object.assign(error, { code: error.remoteCode }, issues === undefined ? {} : { issues });
}

/** Whether a value crosses as it is: not with a cycle, a BigInt or a Map in it. */
function isSendable(value: unknown): boolean {
  if (value === undefined) return false;
  try {
    defaultCodec.encode(value);
    return true;
  } catch {
    return false; // the error crosses without it
  }
}
