import { publishersIn, type HandlerFunction, type Middleware } from '../api/middleware.ts';
import type { PublishCommand, PublishMiddleware } from '../api/middleware.ts';
import { defaultCodec, type Codec } from '../message/codec.ts';
import { Encoder } from '../message/encoder.ts';
import { binaryFormat, type MessageFormat } from '../message/format.ts';
import { Sender } from '../publish/sender.ts';
import type { Session } from '../rpc/session.ts';
import type { Subscriber } from './subscriber.ts';

/** How messages are written, where that differs from the broker. */
export interface Formats {
  readonly codec?: Codec;
  readonly format?: MessageFormat;
}

/** Sees what is handled and sent, from inside all middleware: for tests. */
export interface Tap {
  handler(subscriber: Subscriber, handler: HandlerFunction): HandlerFunction;
  publish(command: PublishCommand, next: () => Promise<unknown>): Promise<unknown>;
}

export interface SendersOptions extends Formats {
  readonly session: () => Session | Promise<Session>;
  /** Default of a call's `timeout`, in milliseconds; `null` waits for ever. */
  readonly timeout: number | null;
}

/** Makes the senders of one broker: its own, its routers', its handlers' and its publishers'. */
export class Senders {
  /** Undefined but in tests. What is made while there is one asks it, or its successor. */
  tap: Tap | undefined;
  readonly codec: Codec;
  readonly format: MessageFormat;
  readonly #options: SendersOptions;

  constructor(options: SendersOptions) {
    this.#options = options;
    this.codec = options.codec ?? defaultCodec;
    this.format = options.format ?? binaryFormat;
  }

  /** `middlewares` is read at the first message: until then some may be added. */
  sender(prefix: string, middlewares: () => readonly Middleware[], formats: Formats = {}): Sender {
    return new Sender({
      session: this.#options.session,
      encoder: this.encoder(formats),
      prefix,
      middlewares: () => this.publishing(middlewares()),
      timeout: this.#options.timeout,
    });
  }

  encoder({ codec = this.codec, format = this.format }: Formats = {}): Encoder {
    return new Encoder(codec, format);
  }

  /** The half of the middleware that runs around publishing. */
  publishing(middlewares: readonly Middleware[]): PublishMiddleware[] {
    const publishers = publishersIn(middlewares);
    return this.tap === undefined ? publishers : [...publishers, this.#tapped];
  }

  readonly #tapped: PublishMiddleware = (command, next) =>
    this.tap === undefined ? next() : this.tap.publish(command, next);
}
