import type { Observers } from '../../api/observer.ts';
import { unixTime } from '../../internal/clock.ts';
import { NoMatchingHandlerError, NoReplyError } from '../../errors.ts';
import { CALL, FROM, SEQUENCE, STATUS } from '../../message/headers.ts';
import {
  CALL_KEY,
  GATHER_KEY,
  REPLY_KIND_KEY,
  type ReceivedMessage,
} from '../../message/message.ts';
import { isResponse, maxlenOf } from '../../message/response.ts';
import {
  composePublish,
  type PublishCommand,
  type PublishMiddleware,
} from '../../api/middleware.ts';
import type { Encoder, ExtraHeaders } from '../../message/encoder.ts';
import type { Transport } from '../../transport/transport.ts';
import type { AnswerLog } from './answer-log.ts';
import { keptAnswersKey, type Inbox, type Status } from '../inbox.ts';
import { observed } from '../observed.ts';
import { toWire } from '../remote-error.ts';

/** Milliseconds for which an answer is kept at most, if its caller waits longer or for ever. */
const MAX_LIFE = 60_000;

/** The error that a caller gets with `errorPolicy: 'hide'`; the correlation id finds the real one in the logs. */
const HIDDEN = { name: 'Error', message: 'Internal error' };

interface ReplyCommand extends PublishCommand {
  /** Headers by which the caller finds its call; undefined for a caller that is not redstart. */
  readonly extra: ExtraHeaders;
  readonly encoder: Encoder;
}

export interface ReplierOptions {
  readonly encoder: Encoder;
  /** Errors are JSON whatever codec the values have, so that every caller can read them. */
  readonly errorEncoder: Encoder;
  readonly transport: Transport;
  readonly inbox: Inbox;
  readonly answerLog: AnswerLog;
  readonly middlewares: readonly PublishMiddleware[];
  readonly observers: Observers;
  /** Send callers no error's name, message, code or data. */
  readonly hidesErrors: boolean;
}

/** Sends a handler's answers and errors to the callers. */
export class Replier {
  readonly #options: ReplierOptions;
  readonly #through: ((command: ReplyCommand) => Promise<unknown>) | undefined;

  constructor(options: ReplierOptions) {
    this.#options = options;
    if (options.middlewares.length > 0) {
      // Async, so that what cannot be encoded rejects like what cannot be sent.
      this.#through = composePublish(options.middlewares, async (command) => this.#send(command));
    }
  }

  /** Whether the caller understands error answers. FastStream does not: it takes an error for a value. */
  static isCall(message: ReceivedMessage): boolean {
    return message.replyTo !== undefined && message.header(CALL_KEY) !== undefined;
  }

  /**
   * Sends a result, a plain value or a `Response`, to the caller; resolves with the number of
   * receivers. Undefined where nobody waits. Throws `EncodeError` for a result that cannot be
   * encoded; with publish middleware it rejects instead.
   */
  answer(message: ReceivedMessage, result: unknown): Promise<unknown> | undefined {
    const { replyTo } = message;
    if (replyTo === undefined) return undefined;
    const call = message.header(CALL_KEY);
    const extra = call === undefined ? undefined : this.#mark(message, call);
    return this.#reply(message, replyTo, result, extra, this.#options.encoder);
  }

  /**
   * Sends an error to the caller; resolves with the number of receivers. Undefined where nobody
   * waits, and for a caller that does not understand error answers. `NoReplyError` and
   * `NoMatchingHandlerError` say that this receiver declines: another may still answer.
   */
  refuse(message: ReceivedMessage, error: unknown): Promise<unknown> | undefined {
    const { replyTo } = message;
    const call = message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return undefined;
    const declined = error instanceof NoReplyError || error instanceof NoMatchingHandlerError;
    const status: Status = declined ? 'declined' : 'error';
    const body = this.#options.hidesErrors ? HIDDEN : toWire(error);
    const extra = { ...this.#mark(message, call), [STATUS]: status };
    return this.#reply(message, replyTo, body, extra, this.#options.errorEncoder);
  }

  /** Sends one item of a stream; resolves with the number of receivers. */
  item(message: ReceivedMessage, value: unknown, sequence: number): Promise<unknown> {
    return this.#part(message, value, 'item', sequence);
  }

  /** Sends the end of a stream; `sequence` is the number of its items. */
  end(message: ReceivedMessage, sequence: number): Promise<unknown> {
    return this.#part(message, undefined, 'end', sequence);
  }

  /** Keeps an answer that reached nobody under a key until the call's deadline: the caller may be reconnecting. */
  async keep(message: ReceivedMessage): Promise<void> {
    const { replyTo, deadline } = message;
    const call = message.header(CALL_KEY);
    const life = deadline === undefined ? MAX_LIFE : Math.min(deadline - unixTime(), MAX_LIFE);
    if (replyTo === undefined || call === undefined || life <= 0) return;
    const { transport, inbox, answerLog } = this.#options;
    const frame = answerLog.find(replyTo, call);
    if (frame === undefined) return;
    await transport.keep(keptAnswersKey(replyTo), frame, Math.ceil(life));
    // A caller that reconnected before this was kept has collected already: it is notified to do so again.
    await inbox.notify(replyTo, 'kept', call);
  }

  /** The headers by which the caller finds its call; to one that gathers, also who answers. */
  #mark(message: ReceivedMessage, call: string): Record<string, string> {
    if (message.header(GATHER_KEY) === undefined) return { [CALL]: call };
    return { [CALL]: call, [FROM]: this.#options.inbox.address.name };
  }

  async #part(
    message: ReceivedMessage,
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

  #reply(
    message: ReceivedMessage,
    replyTo: string,
    result: unknown,
    extra: ExtraHeaders,
    encoder: Encoder,
  ): Promise<unknown> {
    const response = isResponse(result) ? result : undefined;
    const maxlen = maxlenOf(result);
    const kind = message.header(REPLY_KIND_KEY);
    const command: ReplyCommand = {
      type: 'reply',
      to: { kind: kind === 'list' || kind === 'stream' ? kind : 'channel', name: replyTo, maxlen },
      body: response === undefined ? result : response.body,
      headers: response?.headers,
      correlationId: response?.correlationId ?? message.correlationId,
      replyTo: undefined,
      extra,
      encoder,
    };
    return this.#through === undefined ? this.#send(command) : this.#through(command);
  }

  #send(command: ReplyCommand): Promise<unknown> {
    const observers = this.#options.observers.active;
    if (observers === undefined) return this.#transmit(command);
    return observed(observers, command, async () => this.#transmit(command));
  }

  #transmit(command: ReplyCommand): Promise<unknown> {
    const { transport, answerLog } = this.#options;
    const frame = command.encoder.encode(command, undefined, command.extra);
    const sent = transport.send(command.to, frame);
    if (command.extra === undefined || command.to.kind !== 'channel') return sent;
    answerLog.remember(command.to.name, command.extra[CALL] as string, frame);
    return sent;
  }
}
