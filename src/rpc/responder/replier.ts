import { unixTime } from '../../internal/clock.ts';
import { NoMatchingHandlerError, NoReplyError } from '../../errors.ts';
import type { Outcome } from '../../consume/outcome.ts';
import { CALL, FROM, SEQUENCE, STATUS } from '../../message/headers.ts';
import { CALL_KEY, GATHER_KEY, REPLY_KIND_KEY, type Message } from '../../message/message.ts';
import { RedisResponse, Response } from '../../message/response.ts';
import {
  composePublish,
  type PublishCommand,
  type PublishMiddleware,
} from '../../api/middleware.ts';
import type { Encoder, ExtraHeaders } from '../../message/encoder.ts';
import { kindOf } from '../../transport/address.ts';
import type { Transport } from '../../transport/transport.ts';
import type { AnswerLog } from './answer-log.ts';
import type { Inbox, Status } from '../inbox.ts';
import { toWire } from '../remote-error.ts';

/** The key under which answers are kept for an inbox that could not be reached. */
export function keptFor(inbox: string): string {
  return `${inbox}:kept`;
}

/** Milliseconds that an answer is kept at most, however long its caller waits. */
const MAX_LIFE = 60_000;

/** All that a caller learns with `errors: 'hide'`; the correlation id finds the rest in the logs. */
const HIDDEN = { name: 'Error', message: 'Internal error' };

interface ReplyCommand extends PublishCommand {
  /** Headers that tell the caller whose answer this is. */
  readonly extra: ExtraHeaders;
  readonly encoder: Encoder;
}

export interface ReplierOptions {
  readonly encoder: Encoder;
  /** Errors are JSON whatever codec the values have, so that every caller can read them. */
  readonly errorEncoder: Encoder;
  readonly transport: Transport;
  readonly inbox: Inbox;
  readonly answers: AnswerLog;
  readonly middlewares: readonly PublishMiddleware[];
  /** Tell callers nothing of an error but that there was one. */
  readonly hidesErrors: boolean;
}

/** Sends what a handler answered to whoever asked. */
export class Replier {
  readonly #options: ReplierOptions;
  readonly #through: ((command: ReplyCommand) => Promise<unknown>) | undefined;

  constructor(options: ReplierOptions) {
    this.#options = options;
    if (options.middlewares.length > 0) {
      // Async, so that what cannot be encoded rejects like what cannot be sent.
      this.#through = composePublish(options.middlewares, async (command) =>
        this.#transmit(command),
      );
    }
  }

  /** True for a caller that understands error answers: FastStream would take one for a value. */
  static isCall(message: Message): boolean {
    return message.replyTo !== undefined && message.header(CALL_KEY) !== undefined;
  }

  /** Sends an outcome to whoever asked; resolves with the receivers. Undefined where nobody did. Throws `EncodeError` for a result that cannot be sent. */
  reply(message: Message, outcome: Outcome): Promise<unknown> | undefined {
    const { replyTo } = message;
    if (replyTo === undefined || outcome.kind === 'skipped' || outcome.kind === 'expired') {
      return undefined;
    }
    const call = message.header(CALL_KEY);
    const { encoder, errorEncoder, hidesErrors } = this.#options;
    if (outcome.kind === 'ok') {
      const extra = call === undefined ? undefined : this.#mark(message, call);
      return this.#answer(message, replyTo, outcome.result, extra, encoder);
    }
    if (call === undefined) return undefined;
    const { error } = outcome;
    const declined = error instanceof NoReplyError || error instanceof NoMatchingHandlerError;
    const status: Status = declined ? 'declined' : 'error';
    const body = hidesErrors ? HIDDEN : toWire(error);
    const extra = { ...this.#mark(message, call), [STATUS]: status };
    return this.#answer(message, replyTo, body, extra, errorEncoder);
  }

  /** Whose answer it is, and for a question to all, who answers. */
  #mark(message: Message, call: string): Record<string, string> {
    if (message.header(GATHER_KEY) === undefined) return { [CALL]: call };
    return { [CALL]: call, [FROM]: this.#options.inbox.address.name };
  }

  /** One item of a stream; resolves with its receivers. */
  item(message: Message, value: unknown, sequence: number): Promise<unknown> {
    return this.#part(message, value, 'item', sequence);
  }

  /** The end of a stream of so many items. */
  end(message: Message, sequence: number): Promise<unknown> {
    return this.#part(message, undefined, 'end', sequence);
  }

  async #part(
    message: Message,
    value: unknown,
    status: Status,
    sequence: number,
  ): Promise<unknown> {
    const { encoder, transport, inbox } = this.#options;
    const extra = {
      [CALL]: message.header(CALL_KEY) as string,
      [STATUS]: status,
      [SEQUENCE]: String(sequence),
      [FROM]: inbox.address.name,
    };
    const { correlationId } = message;
    const frame = encoder.encode(
      { body: value, correlationId, headers: undefined },
      undefined,
      extra,
    );
    return transport.send({ kind: 'channel', name: message.replyTo as string }, frame);
  }

  #answer(
    message: Message,
    replyTo: string,
    result: unknown,
    extra: ExtraHeaders,
    encoder: Encoder,
  ): Promise<unknown> {
    const response = result instanceof Response ? result : undefined;
    const maxlen = response instanceof RedisResponse ? response.maxlen : undefined;
    const kind = kindOf(message.header(REPLY_KIND_KEY)) ?? 'channel';
    const command: ReplyCommand = {
      type: 'reply',
      to: { kind, name: replyTo, maxlen },
      body: response === undefined ? result : response.body,
      headers: response?.headers,
      correlationId: response?.correlationId ?? message.correlationId,
      replyTo: undefined,
      extra,
      encoder,
    };
    return this.#through === undefined ? this.#transmit(command) : this.#through(command);
  }

  #transmit(command: ReplyCommand): Promise<unknown> {
    const { transport, answers } = this.#options;
    const frame = command.encoder.encode(command, undefined, command.extra);
    const sent = transport.send(command.to, frame);
    if (command.extra === undefined || command.to.kind !== 'channel') return sent;
    answers.remember(command.to.name, command.extra[CALL] as string, frame);
    return sent;
  }

  /** Keeps an answer that reached nobody for a caller that may be reconnecting, as long as it waits. */
  async keep(message: Message): Promise<void> {
    const { replyTo, deadline } = message;
    const call = message.header(CALL_KEY);
    const life = deadline === undefined ? MAX_LIFE : Math.min(deadline - unixTime(), MAX_LIFE);
    if (replyTo === undefined || call === undefined || life <= 0) return;
    const { transport, inbox, answers } = this.#options;
    const frame = answers.find(replyTo, call);
    if (frame === undefined) return;
    await transport.keep(keptFor(replyTo), frame, Math.ceil(life));
    // A caller that was back before this was kept has looked already, and is told to look again.
    await inbox.tell(replyTo, 'kept', call);
  }
}
