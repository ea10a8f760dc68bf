import { uniqueId } from '../../internal/ids.ts';
import { digestOf } from '../../message/digest.ts';
import { readHeaders } from '../../message/envelope.ts';
import { encodedBy, openFrame, type MessageFormat } from '../../message/format.ts';
import { CALL, CORRELATION_ID } from '../../message/headers.ts';
import {
  CALL_KEY,
  GATHER_KEY,
  MESSAGE_ID_KEY,
  REPLY_KIND_KEY,
  WINDOW_KEY,
  type ReceivedMessage,
} from '../../message/message.ts';
import type { Asker, CallMark, CallRequest, CallState } from '../../transport/marks.ts';
import type { Report } from '../../transport/source.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Inbox } from '../inbox.ts';
import { KEPT, type AnswerLog } from './answer-log.ts';
import { LARGE, type KeptAnswers } from './kept-answers.ts';

/** A call that a handler here works for. */
interface Running {
  readonly mark: CallMark;
  readonly request: CallRequest;
}

/** The id of a call that is answered once; undefined for every other message. */
export function idOfCall(message: ReceivedMessage): string | undefined {
  const id = message.header(MESSAGE_ID_KEY);
  if (id === undefined || message.replyTo === undefined || 'channel' in message.source)
    return undefined;
  const isOnce =
    message.header(CALL_KEY) !== undefined &&
    message.header(WINDOW_KEY) === undefined &&
    message.header(GATHER_KEY) === undefined &&
    message.header(REPLY_KIND_KEY) === undefined;
  return isOnce ? id : undefined;
}

/** The calls with an id that are handled here: one handler runs for each id, and all who ask get its answer. */
export class IdCalls {
  readonly #transport: Transport;
  readonly #inbox: Inbox;
  readonly #answerLog: AnswerLog;
  readonly #keptAnswers: KeptAnswers;
  readonly #report: Report;
  readonly #running = new Map<ReceivedMessage, Running>();

  constructor(
    transport: Transport,
    inbox: Inbox,
    answerLog: AnswerLog,
    keptAnswers: KeptAnswers,
    report: Report,
  ) {
    this.#transport = transport;
    this.#inbox = inbox;
    this.#answerLog = answerLog;
    this.#keptAnswers = keptAnswers;
    this.#report = report;
  }

  /** Whether a handler here works for this request. */
  isRunning(message: ReceivedMessage): boolean {
    return this.#running.size > 0 && this.#running.has(message);
  }

  /** Takes up a request that {@link idOfCall} has an id of. After `run`, `end` or `release` must follow. */
  async begin(
    message: ReceivedMessage,
    how: Pick<CallRequest, 'isRepeated' | 'onlyKnown'>,
  ): Promise<CallState | undefined> {
    const asker = askerOf(message);
    const owner = `${asker.call}:${uniqueId()}`;
    const request = { ...how, digest: digestOf(message), owner, asker };
    const mark = markOf(message);
    const found = await this.#transport.marks.beginCall(mark, request);
    if (found?.state === 'run') this.#running.set(message, { mark, request });
    return found;
  }

  /**
   * Ends a call: keeps its answer for `keep` milliseconds, 0 for not at all, and sends it to all who
   * wait. `frame` is the answer without the headers by which a caller finds its call. Resolves with the
   * number of receivers; undefined where there are none, and the answer is kept for its callers.
   */
  async end(
    message: ReceivedMessage,
    frame: Uint8Array,
    format: MessageFormat,
    keep: number,
  ): Promise<number | undefined> {
    const running = this.#running.get(message) as Running;
    this.#running.delete(message);
    const answer = forAnyone(frame, format, message.correlationId);
    const { mark, request } = running;
    const kept = keep > 0 ? answer : undefined;
    const askers = await this.#transport.marks.endCall(mark, request, kept, keep);
    return this.#send(mark, answer, format, askers, kept !== undefined);
  }

  /** Sends an answer that was kept to whoever asks for it, and to those who were not sent it before. */
  async sendKept(
    message: ReceivedMessage,
    { answer, askers }: CallState & { state: 'answered' },
    format: MessageFormat,
  ): Promise<void> {
    const asker = askerOf(message);
    const others = askers.filter(({ call }) => call !== asker.call);
    await this.#send(markOf(message), answer, format, [asker, ...others], others.length > 0);
  }

  /** The handler has ended without an answer. `comesAgain`: the message will be handled again. */
  release(message: ReceivedMessage, comesAgain: boolean): void {
    const running = this.#running.get(message);
    if (running === undefined) return;
    this.#running.delete(message);
    const { marks } = this.#transport;
    const { mark, request } = running;
    const released = comesAgain
      ? marks.pauseCall(mark, request.owner)
      : marks.endCall(mark, request, undefined, 0);
    // What cannot be released lapses.
    Promise.resolve(released).catch(() => undefined);
  }

  async #send(
    mark: CallMark,
    answer: Buffer,
    format: MessageFormat,
    askers: readonly Asker[],
    isKept: boolean,
  ): Promise<number | undefined> {
    const counts = await Promise.all(askers.map((asker) => this.#sendTo(asker, answer, format)));
    if (isKept) {
      this.#transport.marks.forgetAskers(mark, askers).catch((error: unknown) => {
        this.#report('callers that were answered could not be forgotten', error);
      });
    }
    return counts.reduce((sum, count) => sum + count, 0) || undefined;
  }

  async #sendTo(asker: Asker, answer: Buffer, format: MessageFormat): Promise<number> {
    const { call, replyTo } = asker;
    const frame = addressed(answer, format, asker);
    if (frame.length > LARGE) {
      this.#answerLog.remember(replyTo, call, KEPT);
      return this.#keptAnswers.send(asker, frame);
    }
    const sent = this.#inbox.sendTo(replyTo, frame);
    this.#answerLog.remember(replyTo, call, frame);
    const receivers = (await sent) as number;
    if (receivers === 0) await this.#keptAnswers.keep(asker, frame);
    return receivers;
  }
}

function markOf(message: ReceivedMessage): CallMark {
  const { source } = message;
  const name = 'list' in source ? source.list : 'stream' in source ? source.stream : '';
  return { name, id: idOfCall(message) as string };
}

function askerOf(message: ReceivedMessage): Asker {
  const { replyTo, correlationId, deadline } = message;
  const call = message.header(CALL_KEY) as string;
  return { call, replyTo: replyTo as string, correlationId, deadline };
}

/** An answer as it is kept: with a correlation id only where the handler has chosen it. */
function forAnyone(frame: Uint8Array, format: MessageFormat, correlationId: string): Buffer {
  const { headers, body } = opened(frame, format);
  if (headers[CORRELATION_ID] === correlationId) delete headers[CORRELATION_ID];
  return Buffer.from(encodedBy(format, { headers, body }));
}

/** The answer for one of those who wait. */
function addressed(answer: Buffer, format: MessageFormat, asker: Asker): Uint8Array {
  const { headers, body } = opened(answer, format);
  headers[CORRELATION_ID] ??= asker.correlationId;
  headers[CALL] = asker.call;
  return encodedBy(format, { headers, body });
}

function opened(
  frame: Uint8Array,
  format: MessageFormat,
): { headers: Record<string, string>; body: Buffer } {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  const one = openFrame(bytes, format);
  return { headers: { ...readHeaders(one) }, body: one.bytes.subarray(one.body) };
}
