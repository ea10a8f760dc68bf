import type { HeadersInput } from './headers.ts';

export interface ResponseOptions {
  /** Headers of the answer. The headers of the request are not copied. */
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
    this.body = body;
    this.headers = options.headers;
    this.correlationId = options.correlationId;
  }

  /** A copy of the same class with another body. @internal */
  withBody(body: unknown): Response {
    const copy = Object.create(Object.getPrototypeOf(this) as object) as Response;
    return Object.assign(copy, this, { body });
  }
}

export interface RedisResponseOptions extends ResponseOptions {
  /** If the answer goes to a stream: keep about this many entries (`XADD … MAXLEN ~`). Default: all. */
  maxlen?: number;
}

/** A {@link Response} for an answer that may go to a stream. */
export class RedisResponse<T = unknown> extends Response<T> {
  readonly maxlen: number | undefined;

  constructor(body: T, options: RedisResponseOptions = {}) {
    super(body, options);
    this.maxlen = options.maxlen;
  }
}

/** The body of a handler's result: that of a {@link Response}, else the result itself. */
export function bodyOf(result: unknown): unknown {
  return result instanceof Response ? result.body : result;
}
