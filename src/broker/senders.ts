import type { Observers } from '../api/observer.ts';
import type { AnswersOptions } from '../api/identity.ts';
import { publishersIn, type Middleware, type PublishMiddleware } from '../api/middleware.ts';
import { defaultCodec, type Codec } from '../message/codec.ts';
import { Encoder } from '../message/encoder.ts';
import { binaryFormat, type MessageFormat } from '../message/format.ts';
import { Sender } from '../publish/sender.ts';
import type { Session } from '../rpc/session.ts';

/** The default of `idWindow`: ten minutes. */
const ID_WINDOW = 600_000;

/** The default of `answers.keep`: ten minutes. */
const KEEP = 600_000;

/** The default of `maxBytes`. */
const MAX_BYTES = 16 * 2 ** 20;

/** How messages are written, where that differs from the broker. */
export interface Formats {
  readonly codec?: Codec;
  readonly format?: MessageFormat;
}

export interface SendersOptions extends Formats {
  readonly session: () => Session | Promise<Session>;
  /** Default of a call's `timeout`, in milliseconds; `null` waits for ever. */
  readonly timeout: number | null;
  /** Bytes of the largest frame that is sent. */
  readonly maxBytes?: number;
  /** Milliseconds in which the id of a message is known. */
  readonly idWindow?: number;
  readonly answers?: AnswersOptions;
  readonly observers: Observers;
}

/** Makes the senders of one broker: its own, its routers', its handlers' and its publishers'. */
export class Senders {
  /** Middleware inside all other: how a test broker records and loses messages. Undefined outside of tests. */
  innermost: Middleware | undefined;
  readonly codec: Codec;
  readonly format: MessageFormat;
  /** Milliseconds for which the answer of a call with an id is kept. */
  readonly keep: number;
  readonly #options: SendersOptions;

  constructor(options: SendersOptions) {
    this.#options = options;
    this.keep = options.answers?.keep ?? KEEP;
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
      idWindow: this.#options.idWindow ?? ID_WINDOW,
      observers: this.#options.observers,
    });
  }

  encoder({ codec = this.codec, format = this.format }: Formats = {}): Encoder {
    return new Encoder(codec, format, this.#options.maxBytes ?? MAX_BYTES);
  }

  /** The half of the middleware that runs around publishing. */
  publishing(middlewares: readonly Middleware[]): PublishMiddleware[] {
    const publishers = publishersIn(middlewares);
    return this.innermost === undefined ? publishers : [...publishers, this.#publishInnermost];
  }

  /** Asked anew for every message: a sender outlives the test that it was made in. */
  readonly #publishInnermost: PublishMiddleware = (command, next) => {
    const [publish] = this.innermost === undefined ? [] : publishersIn([this.innermost]);
    return publish === undefined ? next() : publish(command, next);
  };
}
