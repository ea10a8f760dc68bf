import type { Observers } from '../../api/observer.ts';
import { Sparing } from '../../internal/sparing.ts';
import { ExpiredError, NoMatchingHandlerError, NoReplyError, RpcError } from '../../errors.ts';
import { CALL, FROM, SEQUENCE, STATUS } from '../../message/headers.ts';
import { logFields } from '../../message/log-fields.ts';
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
import type { MessageFormat } from '../../message/format.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Report } from '../../transport/source.ts';
import type { AnswerBundles } from './answer-bundles.ts';
import { KEPT, type AnswerLog } from './answer-log.ts';
import { hiddenWire } from './hidden.ts';
import type { IdCalls } from './id-calls.ts';
import { LARGE, type KeptAnswers } from './kept-answers.ts';
import type { Inbox, Status } from '../inbox.ts';
import { observed } from '../observed.ts';
import { toWire } from '../remote-error.ts';

interface ReplyCommand extends PublishCommand {
  /** Headers by which the caller finds its call; undefined for a caller that is not redstart. */
  readonly extra: ExtraHeaders;
  readonly encoder: Encoder;
  readonly request: ReceivedMessage;
  /** A value or an RpcError: where the call has an id, whoever asks again gets the same. */
  readonly isKept: boolean;
}

export interface ReplierOptions {
  readonly encoder: Encoder;
  /** Errors are JSON whatever codec the values have, so that every caller can read them. */
  readonly errorEncoder: Encoder;
  readonly transport: Transport;
  readonly inbox: Inbox;
  readonly answerLog: AnswerLog;
  readonly answerBundles: AnswerBundles;
  readonly keptAnswers: KeptAnswers;
  readonly idCalls: IdCalls;
  /** Milliseconds for which the answer of a call with an id is kept. */
  readonly keep: number;
  readonly middlewares: readonly PublishMiddleware[];
  readonly observers: Observers;
  /** Send callers no name, message, code or data of a handler's error. */
  readonly hidesErrors: boolean;
  /** Send answers only to channels that are inboxes of brokers with this broker's `inboxPrefix`. */
  readonly inboxesOnly: boolean;
  /** Whether an answer may be written to this list or stream: the message names it, whoever sent that. */
  readonly mayWrite: (kind: 'list' | 'stream', name: string) => boolean;
  readonly report: Report;
}

/** A part of a stream that is being sent. */
export interface SentPart {
  readonly bytes: number;
  /** Their number. */
  readonly receivers: Promise<unknown>;
}

/** Sends a handler's answers and errors to the callers. */
export class Replier {
  readonly #options: ReplierOptions;
  readonly #through: ((command: ReplyCommand) => Promise<unknown>) | undefined;
  readonly #refused = new Sparing();

  constructor(options: ReplierOptions) {
    this.#options = options;
    if (options.middlewares.length > 0) {
      // Async, so that what cannot be encoded rejects like what cannot be sent.
      this.#through = composePublish(options.middlewares, async (command) => this.#send(command));
    }
  }

  /** In which answers are written. */
  get format(): MessageFormat {
    return this.#options.encoder.format;
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
    if (replyTo === undefined || !this.mayAnswer(message, replyTo)) return undefined;
    const call = message.header(CALL_KEY);
    const extra = call === undefined ? undefined : this.#mark(message, call);
    return this.#reply(message, replyTo, result, extra, this.#options.encoder, true);
  }

  /**
   * Sends an error to the caller; resolves with the number of receivers. Undefined where nobody
   * waits, and for a caller that does not understand error answers. `NoReplyError` and
   * `NoMatchingHandlerError` say that this receiver declines: another may still answer. `isOwn`:
   * redstart itself refuses the request, and the error is not the handler's.
   */
  refuse(message: ReceivedMessage, error: unknown, isOwn: boolean): Promise<unknown> | undefined {
    const { replyTo } = message;
    const call = message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return undefined;
    if (!this.mayAnswer(message, replyTo)) return undefined;
    const declined = error instanceof NoReplyError || error instanceof NoMatchingHandlerError;
    const late = error instanceof ExpiredError;
    const status: Status = late ? 'expired' : declined ? 'declined' : 'error';
    const isRpcError = error instanceof RpcError;
    const { hidesErrors, report } = this.#options;
    // Every other error of a handler is logged where its message is completed.
    if (hidesErrors && isRpcError && !isOwn)
      report('the caller is not told of an RpcError', error, 'warn', {
        fields: logFields(message),
      });
    const body = hidesErrors ? hiddenWire(error, isOwn) : toWire(error);
    const extra = { ...this.#mark(message, call), [STATUS]: status };
    return this.#reply(message, replyTo, body, extra, this.#options.errorEncoder, isRpcError);
  }

  /**
   * Whether an answer may go where the message asks for it. A stranger chooses that place, and an
   * answer to a list or stream is a write.
   */
  mayAnswer(message: ReceivedMessage, replyTo: string): boolean {
    const { inboxesOnly, inbox, mayWrite, report } = this.#options;
    const kind = message.header(REPLY_KIND_KEY);
    const isWritten = kind === 'list' || kind === 'stream';
    if (!inboxesOnly && !isWritten) return true;
    const isAllowed = isWritten
      ? !inboxesOnly && mayWrite(kind, replyTo)
      : inbox.homeOf(replyTo) !== undefined;
    if (isAllowed) return true;
    const times = this.#refused.next();
    if (times !== undefined)
      report(
        `answers are not sent to the ${isWritten ? kind : 'channel'} '${replyTo}'${times}`,
        undefined,
        'warn',
        { fields: logFields(message) },
      );
    return false;
  }

  /** Sends one item of a stream; throws `EncodeError` for one that cannot be encoded. */
  item(message: ReceivedMessage, value: unknown, sequence: number): SentPart {
    return this.#part(message, value, 'item', sequence);
  }

  /** Sends the end of a stream; `sequence` is the number of its items. */
  end(message: ReceivedMessage, sequence: number): Promise<unknown> {
    return this.#part(message, undefined, 'end', sequence).receivers;
  }

  /** Keeps an answer that reached nobody under a key until the call's deadline: the caller may be reconnecting. */
  async keep(message: ReceivedMessage): Promise<void> {
    const { replyTo } = message;
    const call = message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return;
    const { keptAnswers, answerLog } = this.#options;
    const frame = answerLog.find(replyTo, call);
    if (frame === undefined) return;
    const { deadline } = message;
    await keptAnswers.keep({ replyTo, call, deadline }, frame);
  }

  /** The headers by which the caller finds its call; to one that gathers, also who answers. */
  #mark(message: ReceivedMessage, call: string): Record<string, string> {
    if (message.header(GATHER_KEY) === undefined) return { [CALL]: call };
    return { [CALL]: call, [FROM]: this.#options.inbox.address.name };
  }

  #part(message: ReceivedMessage, value: unknown, status: Status, sequence: number): SentPart {
    const { encoder, inbox } = this.#options;
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
    return {
      bytes: frame.length,
      receivers: inbox.sendTo(message.replyTo as string, frame),
    };
  }

  #reply(
    message: ReceivedMessage,
    replyTo: string,
    result: unknown,
    extra: ExtraHeaders,
    encoder: Encoder,
    isKept: boolean,
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
      request: message,
      isKept,
    };
    return this.#through === undefined ? this.#send(command) : this.#through(command);
  }

  #send(command: ReplyCommand): Promise<unknown> {
    const observers = this.#options.observers.known;
    if (observers === undefined) return this.#transmit(command);
    return observed(observers, command, () => this.#transmit(command));
  }

  #transmit(command: ReplyCommand): Promise<unknown> {
    const { transport, inbox, answerLog, answerBundles, keptAnswers, idCalls } = this.#options;
    const { to, extra, request } = command;
    if (idCalls.isRunning(request)) return this.#endCall(command);
    const frame = command.encoder.encode(command, undefined, extra);
    const isCall = extra !== undefined && to.kind === 'channel';
    if (!isCall || inbox.homeOf(to.name) === undefined) return transport.send(to, frame);
    const call = extra[CALL] as string;
    if (frame.length > LARGE) {
      answerLog.remember(to.name, call, KEPT);
      return keptAnswers.send({ replyTo: to.name, call, deadline: request.deadline }, frame);
    }
    const sent = answerBundles.send(to.name, frame);
    answerLog.remember(to.name, call, frame);
    return sent;
  }

  /** The answer of a call with an id: for all who ask, and kept where it may be. */
  #endCall(command: ReplyCommand): Promise<unknown> {
    const { idCalls, hidesErrors, keep } = this.#options;
    const { extra, encoder, request, isKept } = command;
    const { [CALL]: _, ...others } = extra ?? {};
    const frame = encoder.encode(command, undefined, others);
    return idCalls.end(request, frame, encoder.format, isKept && !hidesErrors ? keep : 0);
  }
}
