import { Catch, HttpException, HttpStatus, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import {
  InvalidMessageError,
  RedstartError,
  RpcError,
  onError,
  type ErrorHandler,
} from '../../index.ts';

/** HTTP statuses of redstart's own errors, by their code. */
const STATUSES: Readonly<Record<string, HttpStatus>> = {
  INVALID_MESSAGE: HttpStatus.BAD_REQUEST,
  RPC_TIMEOUT: HttpStatus.GATEWAY_TIMEOUT,
  NO_RESPONDERS: HttpStatus.SERVICE_UNAVAILABLE,
  OVERLOADED: HttpStatus.SERVICE_UNAVAILABLE,
  BROKER_CLOSED: HttpStatus.SERVICE_UNAVAILABLE,
  CONNECTION: HttpStatus.SERVICE_UNAVAILABLE,
  SEND: HttpStatus.SERVICE_UNAVAILABLE,
  REMOTE: HttpStatus.BAD_GATEWAY,
  NO_MATCHING_HANDLER: HttpStatus.BAD_GATEWAY,
  NO_REPLY: HttpStatus.BAD_GATEWAY,
};

/**
 * What callers get of an exception of Nest's that a handler throws. A `HttpException` with a status below 500 becomes an
 * `RpcError`: its code is the name of the status (`NOT_FOUND`), its data the exception's response. So does a
 * `RpcException` of `@nestjs/microservices`, with the `code` of its object, or `RPC_EXCEPTION`. Undefined for
 * everything else, 5xx included: that is a failure, which is logged and tried again.
 */
export function toRpcError(error: unknown): RpcError | undefined {
  if (isHttpException(error)) {
    const status = error.getStatus();
    if (status >= 500) return undefined;
    const response = error.getResponse();
    const data =
      typeof response === 'string' ? { statusCode: status, message: response } : response;
    return new RpcError(HttpStatus[status] ?? `HTTP_${status}`, error.message, data, {
      cause: error,
    });
  }
  if (!isRpcException(error)) return undefined;
  const given = error.getError();
  if (typeof given === 'string')
    return new RpcError('RPC_EXCEPTION', given, undefined, { cause: error });
  const { code, message } = given as { code?: unknown; message?: unknown };
  return new RpcError(
    typeof code === 'string' || typeof code === 'number' ? String(code) : 'RPC_EXCEPTION',
    typeof message === 'string' ? message : error.message,
    given,
    { cause: error },
  );
}

/**
 * What an HTTP client gets of an error of redstart's. An `RpcError` whose code is the name of a status
 * (`NOT_FOUND`, also from {@link toRpcError} elsewhere) has that status, any other 422 or that in
 * `statuses`. A call that timed out is 504, a handler that failed 502, a missing subscriber 503.
 */
export function toHttpException(
  error: RedstartError,
  statuses: Readonly<Record<string, number>> = {},
): HttpException {
  const { code, message } = error;
  const isAnswer = error instanceof RpcError;
  const status = statuses[code] ?? (isAnswer ? statusNamed(code) : STATUSES[code]) ?? 500;
  // A text about the inside of services is for the log.
  if (status === 500)
    return new HttpException({ statusCode: 500, message: 'Internal server error' }, 500, {
      cause: error,
    });
  const data: unknown = isAnswer ? error.data : undefined;
  // What toRpcError has made of a HttpException elsewhere is answered as it was.
  if ((data as { statusCode?: unknown } | null | undefined)?.statusCode === status)
    return new HttpException(data as Record<string, unknown>, status, { cause: error });
  const body: Record<string, unknown> = { statusCode: status, code, message };
  if (data !== undefined) body['data'] = data;
  if (error instanceof InvalidMessageError) body['issues'] = error.issues;
  return new HttpException(body, status, { cause: error });
}

function statusNamed(code: string): number {
  const known = (HttpStatus as unknown as Readonly<Record<string, unknown>>)[code];
  return typeof known === 'number' && known >= 400 ? known : HttpStatus.UNPROCESSABLE_ENTITY;
}

/**
 * Answers HTTP requests with {@link toHttpException} for the errors of calls that their controllers make. Give it as
 * `{ provide: APP_FILTER, useClass: RpcErrorFilter }` or `@UseFilters(RpcErrorFilter)`. A subclass sets `statuses`.
 * Errors of messages pass through it.
 */
export class RpcErrorFilter extends BaseExceptionFilter {
  /** Statuses by the code of the error: `{ SOLD_OUT: 409 }`. */
  protected readonly statuses: Readonly<Record<string, number>> = {};

  override catch(error: RedstartError, host: ArgumentsHost): void {
    if (host.getType() !== 'http') throw error;
    // oxlint-disable-next-line promise/valid-params, promise/no-promise-in-callback -- a filter's method and no promise's
    super.catch(toHttpException(error, this.statuses), host);
  }
}
Catch(RedstartError)(RpcErrorFilter);

/**
 * For the option `onError` of a broker: what `RedstartModule` gives its own. It costs nothing until a
 * handler fails.
 */
export const nestErrors: readonly ErrorHandler[] = [
  onError(Error, (error) => {
    throw toRpcError(error) ?? error;
  }),
];

interface Exceptional extends Error {
  getStatus(): number;
  getResponse(): string | object;
  getError(): string | object;
}

// By what they can do: an app can hold two copies of a package, and @nestjs/microservices need not be there.
function isHttpException(
  error: unknown,
): error is Pick<Exceptional, 'getStatus' | 'getResponse'> & Error {
  const { getStatus, getResponse } = (error ?? {}) as Partial<Exceptional>;
  return (
    error instanceof Error && typeof getStatus === 'function' && typeof getResponse === 'function'
  );
}

function isRpcException(error: unknown): error is Pick<Exceptional, 'getError'> & Error {
  return error instanceof Error && typeof (error as Partial<Exceptional>).getError === 'function';
}
