import {
  ExpiredError,
  NoRespondersError,
  RpcTimeoutError,
  type RedstartError,
} from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { Deadlines } from '../../internal/deadlines.ts';
import { offAbort, onAbort } from '../../internal/signals.ts';
import { extraHeaders } from '../../message/extras.ts';
import { CALL, DEADLINE } from '../../message/headers.ts';
import { CALL_KEY, FROM_KEY, STATUS_KEY, type ReceivedMessage } from '../../message/message.ts';
import { binaryFormat } from '../../message/format.ts';
import { validateBody, type Validate } from '../../message/schema.ts';
import { describe } from '../../transport/address.ts';
import type { Report } from '../../transport/source.ts';
import { counts, type Transport } from '../../transport/transport.ts';

import type { GapChannel } from '../gap-channel.ts';
import { Readership } from './readership.ts';
import type { Inbox } from '../inbox.ts';
import { errorIn } from '../remote-error.ts';
import { askFor, notKnown, openAnswer } from './asked.ts';
import { deadlineOf, type CallCommand, type CallEnd, type WaitingCall } from './call.ts';
import { PendingCall, type CallOwner, type CallTable, type OwnReply } from './call-table.ts';

/**
 * Calls with one answer. All answers come to one inbox, which is subscribed to at the first call;
 * nothing is sent before the server has confirmed that subscription.
 */
export class Calls implements CallOwner {
  /** Answers that arrived after their call had ended, or that belong to no call. */
  lateAnswers = 0;

  readonly #transport: Transport;
  readonly #table: CallTable;
  readonly #inbox: Inbox;
  readonly #gapChannel: GapChannel;
  readonly #report: Report;
  readonly #readership: Readership;
  readonly #deadlines = new Deadlines<PendingCall>((call) => this.#expire(call));

  constructor(
    transport: Transport,
    table: CallTable,
    inbox: Inbox,
    gapChannel: GapChannel,
    report: Report,
  ) {
    this.#transport = transport;
    this.#table = table;
    this.#inbox = inbox;
    this.#gapChannel = gapChannel;
    this.#report = report;
    this.#readership = new Readership(transport);
  }

  /** Calls that wait, those with several answers included. */
  get pending(): number {
    return this.#table.size;
  }

  /**
   * Sends the command and resolves with the answer. Rejects with `RemoteError`, `RpcTimeoutError`,
   * `NoRespondersError`, `SendError`, `OverloadedError`, `BrokerClosedError`, the validation's error
   * or the signal's reason. Tells `end`, too, without a promise more.
   */
  call(given: CallCommand, end?: CallEnd): Promise<unknown> {
    const command = this.#table.admit(given);
    const refusal = this.#table.refusal();
    if (refusal !== undefined) return refused(refusal, end);
    if (command.signal?.aborted === true) return refused(command.signal.reason as Error, end);
    return new Promise((resolve, reject) => {
      const call = new PendingCall(this, command, resolve, reject, end);
      this.#table.add(call);
      const { format } = command.encoder;
      if (format !== binaryFormat) this.#inbox.learn(format);
      if (command.dedicated) call.ownReply = this.#listenFor(call);
      else if (this.#table.isNamed(command)) {
        // A responder that echoes the correlation id alone could not tell two such calls apart.
        if (this.#table.isTaken(command.correlationId)) call.ownReply = this.#listenFor(call);
        else this.#table.name(call);
      }
      if (command.timeout !== null) this.#deadlines.add(call);
      if (command.signal !== undefined) this.#watch(call, command.signal);
      this.#gapChannel.listen();
      const inbox = this.#inbox.ready();
      // The shared inbox, too: it takes what is kept for this call, and knows when answers may be lost.
      const ready =
        call.ownReply === undefined ? inbox : Promise.all([call.ownReply.listening, inbox]);
      if (ready === undefined) this.#send(call);
      else
        ready.then(
          () => this.#send(call),
          (error: unknown) => this.fail(call, error),
        );
    });
  }

  /** The call that an answer is for. An answer that nobody waits for is counted. */
  find(message: ReceivedMessage): WaitingCall | undefined {
    const call = this.#table.find(message);
    if (call === undefined) this.lateAnswers++;
    return call;
  }

  /** A responder can be cancelled, or asks whether its caller still waits. If not, it is cancelled at once. */
  taken(message: ReceivedMessage): void {
    const from = message.header(FROM_KEY);
    // Whoever sends here says where the answer goes: nothing but inboxes gets one.
    if (from === undefined || this.#inbox.homeOf(from) !== from) return;
    const call = this.#table.find(message);
    if (call !== undefined) call.taken(from, message);
    else this.#inbox.notifyOrLog(from, 'cancel', message.header(CALL_KEY) ?? '');
  }

  reached(call: PendingCall, receivers: number): void {
    const isCounted = counts(this.#transport, call.command.to);
    // In a cluster the count is one node's: there may always be another receiver.
    call.receivers = isCounted ? receivers : Infinity;
    if (call.receivers === 0) this.fail(call, new NoRespondersError(describe(call.command.to)));
    else if (call.declines >= call.receivers) this.fail(call, call.refusal);
  }

  answer(call: PendingCall, message: ReceivedMessage, kind: 'value' | 'error' | 'declined'): void {
    if (call.isAnswered) {
      this.lateAnswers++; // a schema checks the first one
      return;
    }
    const { codec } = call.command.encoder;
    try {
      if (kind === 'error') return this.fail(call, errorIn(message));
      if (kind === 'declined') return this.#decline(call, errorIn(message));
      message.body = message.decode(codec);
    } catch (error) {
      return this.fail(call, error);
    }
    const { validate } = call.command;
    if (validate === undefined) this.#resolve(call, message);
    else void this.#resolveValid(call, validate, message);
  }

  fail(call: PendingCall, reason: unknown): void {
    if (!this.#table.has(call)) return;
    this.#forget(call);
    call.reject(reason);
  }

  leave(call: PendingCall, reason: unknown): void {
    this.fail(call, reason);
    for (const responder of call.responders ?? [])
      this.#inbox.notifyOrLog(responder, 'cancel', call.command.call);
  }

  /** The request as it is sent, first or again, with further headers in `extra`. */
  frame(call: PendingCall, extra: Record<string, string>): Uint8Array {
    const { command } = call;
    extra[CALL] = command.call;
    if (command.extras !== undefined) Object.assign(extra, extraHeaders(command.extras));
    if (command.timeout !== null)
      extra[DEADLINE] = deadlineOf(command, call.expiresAt, this.#transport.timed.clock);
    return command.encoder.encode(command, call.ownReply?.address ?? this.#inbox.address, extra);
  }

  /**
   * Asks for the answer of a call with an id: takes the kept one, or has the call answered when its
   * handler is done. A call that asks for nothing else fails where nothing is known.
   */
  async ask(call: PendingCall): Promise<void> {
    const { to, extras, encoder, asks } = call.command;
    const found = await askFor(this.#transport, call, this.#inbox.address.name);
    if (found === undefined || !this.#table.has(call)) return;
    if (found.state === 'answered') {
      const message = openAnswer(found.answer, to, encoder);
      this.answer(call, message, message.header(STATUS_KEY) === 'error' ? 'error' : 'value');
    } else if (asks === true && found.state !== 'joined')
      this.fail(call, notKnown(to, extras, found));
  }

  #send(call: PendingCall): void {
    if (!this.#table.has(call)) return; // ended while the inbox was being confirmed
    if (call.command.asks === true) {
      this.ask(call).catch((error: unknown) => call.refused(error));
      return;
    }
    try {
      this.#transport.post(call.command.to, this.frame(call, {}), call);
    } catch (error) {
      this.fail(call, error);
    }
  }

  /** Subscribes to a reply channel for this call alone. */
  #listenFor(call: PendingCall): OwnReply {
    const name = `${this.#inbox.address.name}:${call.command.call}`;
    const receive = (frame: Buffer): void =>
      this.#inbox.receiveFor(frame, (message) => {
        if (this.#table.has(call)) call.value(message);
      });
    const listening = this.#transport.listen(name, receive, () => {});
    return { address: { name, kind: 'channel' }, listening };
  }

  #watch(call: PendingCall, signal: AbortSignal): void {
    call.onAbort = () => this.leave(call, signal.reason);
    onAbort(signal, call.onAbort);
  }

  /** Fails the call when every receiver has declined; PUBLISH's count may arrive after that. */
  #decline(call: PendingCall, refusal: RedstartError): void {
    // By this clock, too, the time is over: the call's own timer says so, and says more.
    if (refusal instanceof ExpiredError && monotonicTime() >= call.expiresAt) return;
    call.declines++;
    call.refusal = refusal;
    if (call.declines >= (call.receivers ?? Infinity)) this.fail(call, refusal);
  }

  #resolve(call: PendingCall, message: ReceivedMessage): void {
    this.#forget(call);
    call.resolve(call.command.whole ? message : message.body);
  }

  /** A schema may take its time: meanwhile the call ends by its timeout and its signal, as before. */
  async #resolveValid(
    call: PendingCall,
    validate: Validate,
    message: ReceivedMessage,
  ): Promise<void> {
    call.isAnswered = true;
    try {
      message.body = await validateBody(validate, message);
      if (this.#table.has(call)) this.#resolve(call, message);
    } catch (error) {
      this.fail(call, error);
    }
  }

  /** Says why no answer has come, as far as that is known. Takes {@link Readership}'s patience longer where Redis is asked. */
  #expire(call: PendingCall): void {
    const { to, correlationId } = call.command;
    const fail = (known?: string): void =>
      this.fail(call, new RpcTimeoutError(describe(to), call.timeout, correlationId, known));
    const known = this.#readership.of(call);
    if (typeof known === 'string') fail(known);
    else void known.then(fail);
  }

  #forget(call: PendingCall): void {
    call.isWanted = false;
    this.#table.remove(call);
    if (call.command.timeout !== null) this.#deadlines.remove(call);
    const { signal } = call.command;
    if (call.onAbort !== undefined && signal !== undefined) offAbort(signal, call.onAbort);
    if (call.ownReply !== undefined) this.#leave(call.ownReply);
  }

  #leave({ listening }: OwnReply): void {
    listening
      .then((listener) => listener.close())
      .catch((error: unknown) => {
        if (!this.#table.isClosed) this.#report('a reply channel could not be unsubscribed', error);
      });
  }

  /** Gives up the timers. */
  close(): void {
    this.#deadlines.clear();
  }
}

function refused(reason: Error, end: CallEnd | undefined): Promise<never> {
  end?.emit(reason);
  return Promise.reject(reason);
}
