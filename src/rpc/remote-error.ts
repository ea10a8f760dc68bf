import { defaultCodec } from '../message/codec.ts';
import type { ReceivedMessage } from '../message/message.ts';
import type { RedstartError } from '../errors.ts';
import {
  DecodeError,
  EncodeError,
  InvalidMessageError,
  NoMatchingHandlerError,
  NoReplyError,
  RpcError,
  StreamBrokenError,
  RemoteError,
  messageOf,
  type MessageIssue,
} from '../errors.ts';

/** An error as it crosses the wire: plain data, and never a stack. */
interface WireError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | undefined;
  readonly data?: unknown;
  readonly cause?: unknown;
}

/** Our own errors that a caller gets back as what they are. */
const REBUILT = new Map<string, { readonly prototype: object }>([
  ['INVALID_MESSAGE', InvalidMessageError],
  ['NO_MATCHING_HANDLER', NoMatchingHandlerError],
  ['NO_REPLY', NoReplyError],
  ['DECODE', DecodeError],
  ['ENCODE', EncodeError],
  ['STREAM_BROKEN', StreamBrokenError],
]);

/** Never throws: an error may be a proxy, or have getters that throw. */
export function toWire(error: unknown): WireError {
  try {
    return asWire(error);
  } catch {
    return { name: 'Error', message: 'the handler threw a value that cannot be read' };
  }
}

function asWire(error: unknown): WireError {
  if (error instanceof InvalidMessageError) {
    const { name, message, code, issues } = error;
    return { name, message, code, data: { issues } };
  }
  if (!(error instanceof Error)) return { name: 'Error', message: messageOf(error) };
  const { code, data, cause } = error as { code?: unknown; data?: unknown; cause?: unknown };
  return {
    name: error.name,
    message: error.message,
    code: typeof code === 'string' || typeof code === 'number' ? String(code) : undefined,
    data: isPlain(data) ? data : undefined,
    cause: isPlain(cause) && !(cause instanceof Error) ? cause : undefined,
  };
}

/** What a caller's promise rejects with. Bodies that are no error of ours still make one. */
export function errorIn(message: ReceivedMessage): RedstartError {
  return fromWire(defaultCodec.decode(message.payload, message.contentType));
}

function fromWire(body: unknown): RedstartError {
  const { name, message, code, data, cause } = (body ?? {}) as Partial<
    Record<keyof WireError, unknown>
  >;
  const error = new RemoteError({
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : 'the handler failed',
    code: typeof code === 'string' ? code : undefined,
    data,
  });
  if (cause !== undefined) error.cause = cause;
  if (error.remoteCode === undefined) return error;
  const own = error.remoteName === 'RpcError' ? RpcError : REBUILT.get(error.remoteCode);
  if (own === undefined) return error;
  Object.setPrototypeOf(error, own.prototype);
  const issues = (data as { issues?: readonly MessageIssue[] } | undefined)?.issues;
  return Object.assign(error, { code: error.remoteCode }, issues === undefined ? {} : { issues });
}

function isPlain(data: unknown): boolean {
  try {
    return data !== undefined && JSON.stringify(data) !== undefined;
  } catch {
    return false; // a cycle, a BigInt: the error crosses without it
  }
}
