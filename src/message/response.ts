import type { HeadersInput } from './headers.ts';

export interface ResponseOptions {
  /** Headers of the answer. The request's are not echoed. */
  headers?: HeadersInput;
  /** Replaces the request's correlation id on the answer. */
  correlationId?: string;
}

/** What a handler returns to answer with more than a value. */
export class Response<T = unknown> {
  readonly body: T;
  readonly headers: HeadersInput | undefined;
  readonly correlationId: string | undefined;

  constructor(body: T, options: ResponseOptions = {}) {
    this.body = body;
    this.headers = options.headers;
    this.correlationId = options.correlationId;
  }

  /** A copy, of the same class, with another body. @internal */
  withBody(body: unknown): Response {
    const copy = Object.create(Object.getPrototypeOf(this) as object) as Response;
    return Object.assign(copy, this, { body });
  }
}

export interface RedisResponseOptions extends ResponseOptions {
  /** Caps the stream that the answer lands in, approximately (`XADD … MAXLEN ~`), in entries. */
  maxlen?: number;
}

/** A {@link Response} for an answer that may land in a stream. */
export class RedisResponse<T = unknown> extends Response<T> {
  readonly maxlen: number | undefined;

  constructor(body: T, options: RedisResponseOptions = {}) {
    super(body, options);
    this.maxlen = options.maxlen;
  }
}

/** What a handler's result is to be sent as. */
export function bodyOf(result: unknown): unknown {
  return result instanceof Response ? result.body : result;
}
