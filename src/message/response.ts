import { brand, brandOf, isInstance } from '../errors.ts';
import { count, isObject, wrong } from '../internal/checks.ts';
import type { HeadersInput } from './headers.ts';

export interface ResponseOptions {
  /** Headers of the answer. The headers of the request are not copied. Default: none. */
  headers?: HeadersInput;
  /** The correlation id of the answer. Default: that of the request. */
  correlationId?: string;
}

/** An answer with headers or a correlation id: a handler returns it instead of a plain value. */
export class Response<T = unknown> {
  readonly body: T;
  readonly headers: HeadersInput | undefined;
  readonly correlationId: string | undefined;

  constructor(body: T, options: ResponseOptions = {}) {
    if (!isObject(options)) throw wrong('Response', 'options', 'an object', options);
    this.body = body;
    this.headers = options.headers;
    this.correlationId = options.correlationId;
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }

  static {
    brand(this, 'Response');
  }
}

export interface RedisResponseOptions extends ResponseOptions {
  /** If the answer goes to a stream, the stream keeps about this many entries (`XADD … MAXLEN ~`). Default: all. */
  maxlen?: number;
}

/** A {@link Response} for an answer that may go to a stream. */
export class RedisResponse<T = unknown> extends Response<T> {
  readonly maxlen: number | undefined;

  constructor(body: T, options: RedisResponseOptions = {}) {
    super(body, options);
    if (options.maxlen !== undefined) count(options.maxlen, 'maxlen', 'RedisResponse');
    this.maxlen = options.maxlen;
  }

  static {
    brand(this, 'RedisResponse');
  }
}

/** Whether a handler's result is a {@link Response}, of whichever copy of the package. Runs for every message: cheaper than `instanceof`. */
export function isResponse(result: unknown): result is Response {
  const name = brandOf(result);
  return name === 'Response' || name === 'RedisResponse';
}

/** The `maxlen` of a {@link RedisResponse}; undefined for any other result. */
export function maxlenOf(result: unknown): number | undefined {
  return brandOf(result) === 'RedisResponse' ? (result as RedisResponse).maxlen : undefined;
}

/** The body of a handler's result: that of a {@link Response}, else the result itself. */
export function bodyOf(result: unknown): unknown {
  return isResponse(result) ? result.body : result;
}
