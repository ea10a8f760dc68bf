import { NoMatchingHandlerError, NoReplyError } from '../errors.ts';
import type { Outcome } from '../handle/outcome.ts';
import { CALL, STATUS } from '../message/headers.ts';
import { CALL_KEY, REPLY_KIND_KEY, type Message } from '../message/message.ts';
import { RedisResponse, Response } from '../message/response.ts';
import { composePublish, type PublishCommand, type PublishMiddleware } from '../publish/command.ts';
import type { Encoder, ExtraHeaders } from '../publish/encoder.ts';
import type { Kind, Target } from '../transport/address.ts';
import { toWire } from './remote-error.ts';

/** `redstart-status` of an answer whose body is an error. */
export const ERROR = 'error';
/** … of a subscriber that will not answer: the caller gives up once every receiver has said so. */
export const DECLINED = 'declined';

interface ReplyCommand extends PublishCommand {
  /** Headers that tell the caller whose answer this is. */
  readonly extra: ExtraHeaders;
}

/** Sends what a handler answered to whoever asked. */
export class Replier {
  readonly #encoder: Encoder;
  readonly #send: (to: Target, frame: Uint8Array) => Promise<unknown>;
  readonly #through: ((command: ReplyCommand) => Promise<unknown>) | undefined;

  constructor(
    encoder: Encoder,
    send: (to: Target, frame: Uint8Array) => Promise<unknown>,
    middlewares: readonly PublishMiddleware[],
  ) {
    this.#encoder = encoder;
    this.#send = send;
    if (middlewares.length > 0) {
      // Async, so that what cannot be encoded rejects like what cannot be sent.
      this.#through = composePublish(middlewares, async (command) => this.#transmit(command));
    }
  }

  /** True for a caller that understands error answers: FastStream would take one for a value. */
  static isCall(message: Message): boolean {
    return message.replyTo !== undefined && message.header(CALL_KEY) !== undefined;
  }

  /** Undefined where nobody is to be answered. Throws `EncodeError` for a result that cannot be sent. */
  reply(message: Message, outcome: Outcome): Promise<unknown> | undefined {
    const { replyTo } = message;
    if (replyTo === undefined || outcome.kind === 'skipped') return undefined;
    const call = message.header(CALL_KEY);
    if (outcome.kind === 'ok') {
      const extra = call === undefined ? undefined : { [CALL]: call };
      return this.#answer(message, replyTo, outcome.result, extra);
    }
    if (call === undefined) return undefined;
    const { error } = outcome;
    const declined = error instanceof NoReplyError || error instanceof NoMatchingHandlerError;
    const status = declined ? DECLINED : ERROR;
    return this.#answer(message, replyTo, toWire(error), { [CALL]: call, [STATUS]: status });
  }

  #answer(
    message: Message,
    replyTo: string,
    result: unknown,
    extra: ExtraHeaders,
  ): Promise<unknown> {
    const response = result instanceof Response ? result : undefined;
    const maxlen = response instanceof RedisResponse ? response.maxlen : undefined;
    const kind = (message.header(REPLY_KIND_KEY) ?? 'channel') as Kind;
    const command: ReplyCommand = {
      type: 'reply',
      to: { kind: kind === 'list' || kind === 'stream' ? kind : 'channel', name: replyTo, maxlen },
      body: response === undefined ? result : response.body,
      headers: response?.headers,
      correlationId: response?.correlationId ?? message.correlationId,
      replyTo: undefined,
      extra,
    };
    return this.#through === undefined ? this.#transmit(command) : this.#through(command);
  }

  #transmit(command: ReplyCommand): Promise<unknown> {
    return this.#send(command.to, this.#encoder.encode(command, undefined, command.extra));
  }
}
