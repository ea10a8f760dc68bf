import { monotonicTime, unixTime } from '../../internal/clock.ts';
import {
  BrokerClosedError,
  NoRespondersError,
  OverloadedError,
  RpcTimeoutError,
  type RedstartError,
} from '../../errors.ts';
import { Deadlines } from '../../internal/deadlines.ts';
import { randomId } from '../../internal/ids.ts';
import { AGAIN, CALL, DEADLINE } from '../../message/headers.ts';
import { CALL_KEY, CORRELATION_ID_KEY, FROM_KEY, type Message } from '../../message/message.ts';
import type { Validate } from '../../message/schema.ts';
import { describe } from '../../transport/address.ts';
import type { Report } from '../../transport/source.ts';
import { counts, type Transport } from '../../transport/transport.ts';
import type { CallCommand } from './call.ts';
import type { Conversations } from './multi-calls.ts';
import type { Inbox } from '../inbox.ts';
import { PendingCall, type CallOwner, type OwnReply } from './pending-call.ts';
import type { Recovery } from '../gap-channel.ts';
import { errorIn } from '../remote-error.ts';
import { keptFor } from '../responder/replier.ts';

export interface CallsOptions {
  /** Calls that may wait for an answer at once. */
  readonly maxPending: number;
  readonly report: Report;
}

/**
 * The calls that wait for an answer. All answers come to one inbox, which is subscribed to at the
 * first call and confirmed before anything is sent.
 */
export class Calls {
  /** Answers that nobody waited for any more. */
  lateAnswers = 0;

  readonly #transport: Transport;
  readonly #options: CallsOptions;
  readonly #inbox: Inbox;
  readonly #recovery: Recovery;
  readonly #prefix = randomId(12);
  readonly #pending = new Map<number, PendingCall>();
  /** Calls whose correlation id the caller chose: found by it when an answer does not echo the call's id. */
  readonly #named = new Map<string, Set<PendingCall>>();
  readonly #conversations: Conversations;
  readonly #deadlines = new Deadlines<PendingCall>((call) => this.#expire(call));
  readonly #owner: CallOwner = {
    reached: (call, receivers) => this.#reached(call, receivers),
    fail: (call, reason) => this.#fail(call, reason),
  };
  #count = 0;
  #closed = false;

  constructor(
    transport: Transport,
    inbox: Inbox,
    recovery: Recovery,
    conversations: Conversations,
    options: CallsOptions,
  ) {
    this.#transport = transport;
    this.#inbox = inbox;
    this.#recovery = recovery;
    this.#conversations = conversations;
    conversations.refusal = () => this.refusal();
    this.#options = options;
    inbox.onAnswer((message) => this.#receive(message, 'value'));
    inbox.on('error', (message) => this.#receive(message, 'error'));
    inbox.on('declined', (message) => this.#receive(message, 'declined'));
    inbox.on('taken', (message) => this.#taken(message));
    inbox.on('probe', (message) => this.#taken(message));
    inbox.on('kept', () => void this.#recover(() => this.#collect()));
    inbox.onRestored(() => void this.#recover(() => this.#askAgain()));
    recovery.onGap = () => void this.#recover(() => this.#sendAgain());
  }

  get pending(): number {
    return this.#pending.size + this.#conversations.size;
  }

  /** A number for one call, or for one message that is no call. */
  reserve(): number {
    return ++this.#count;
  }

  /** The correlation id of that number, unique everywhere; it finds its call without a table. */
  correlationId(call: number): string {
    return this.#prefix + String(call);
  }

  /** Sends the command and resolves with the answer. Always ends, whatever happens to the other side. */
  call(command: CallCommand): Promise<unknown> {
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (command.signal?.aborted === true) return Promise.reject(command.signal.reason as Error);
    return new Promise((resolve, reject) => {
      const isNamed = command.correlationId !== this.correlationId(command.call);
      const call = new PendingCall(this.#owner, command, isNamed, resolve, reject);
      this.#pending.set(command.call, call);
      // Somebody who echoes nothing but the correlation id could not tell the two apart.
      if (call.isNamed && this.#isTaken(command.correlationId))
        call.ownReply = this.#listenFor(call);
      else if (call.isNamed) this.#name(call);
      if (command.timeout !== null) this.#deadlines.add(call);
      if (command.signal !== undefined) this.#watch(call, command.signal);
      this.#recovery.listen();
      const ready = call.ownReply?.listening ?? this.#inbox.ready();
      if (ready === undefined) this.#send(call);
      else
        ready.then(
          () => this.#send(call),
          (error: unknown) => this.#fail(call, error),
        );
    });
  }

  /** Why no further call can be made now, if so. */
  refusal(): Error | undefined {
    const { maxPending } = this.#options;
    if (this.#closed) return new BrokerClosedError();
    return this.pending >= maxPending ? new OverloadedError(maxPending) : undefined;
  }

  /** Rejects what still waits, and leaves the inbox. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#recovery.close();
    for (const call of this.#pending.values()) {
      this.#fail(call, new BrokerClosedError('the broker was closed before an answer came'));
    }
    this.#conversations.close(new BrokerClosedError('the broker was closed before all had come'));
    this.#deadlines.clear();
    await this.#inbox.close();
  }

  #send(call: PendingCall): void {
    if (!this.#pending.has(call.command.call)) return; // ended while the inbox was being confirmed
    try {
      this.#transport.post(call.command.to, this.#frame(call, {}), call);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  #reached(call: PendingCall, receivers: number): void {
    const isCounted = counts(this.#transport, call.command.to);
    // Where they cannot be counted, one more may always be there.
    call.receivers = isCounted ? receivers : Infinity;
    if (call.receivers === 0) this.#fail(call, new NoRespondersError(describe(call.command.to)));
    else if (call.declined >= call.receivers) this.#fail(call, call.refusal);
  }

  #frame(call: PendingCall, extra: Record<string, string>): Uint8Array {
    const { command } = call;
    extra[CALL] = String(command.call);
    if (command.timeout !== null) extra[DEADLINE] = String(Math.ceil(this.#deadlineOf(call)));
    return command.encoder.encode(command, call.ownReply?.address ?? this.#inbox.address, extra);
  }

  /** Whether another call with this correlation id waits for its answer. */
  #isTaken(correlationId: string): boolean {
    if (this.#named.has(correlationId)) return true;
    if (!correlationId.startsWith(this.#prefix)) return false;
    return this.#pending.get(Number(correlationId.slice(this.#prefix.length)))?.isNamed === false;
  }

  #listenFor(call: PendingCall): OwnReply {
    const name = `${this.#inbox.address.name}:${call.command.call}`;
    const receive = (frame: Buffer): void =>
      this.#inbox.receiveFor(frame, (message) => {
        if (this.#pending.get(call.command.call) === call) this.#answer(call, message, 'value');
      });
    const listening = this.#transport.listen(name, receive, () => {});
    return { address: { name, kind: 'channel' }, listening };
  }

  /** What is left of a call's time, as a time of day. */
  #deadlineOf(call: PendingCall): number {
    return unixTime() + (call.expiresAt - monotonicTime());
  }

  #receive(message: Message, kind: 'value' | 'error' | 'declined'): void {
    const call = this.#find(message);
    if (call !== undefined) this.#answer(call, message, kind);
    else {
      const conversation = this.#conversations.find(message);
      if (conversation === undefined) this.lateAnswers++;
      else conversation[kind](message);
    }
  }

  /** A handler can be cancelled. Where nobody waits for it any more, it is, at once. */
  #taken(message: Message): void {
    const from = message.header(FROM_KEY);
    if (from === undefined) return;
    const call = this.#find(message);
    const conversation = this.#conversations.find(message);
    if (call !== undefined) (call.responders ??= []).push(from);
    else if (conversation !== undefined) conversation.taken(from, message);
    else this.#inbox.say(from, 'cancel', message.header(CALL_KEY) ?? '');
  }

  #watch(call: PendingCall, signal: AbortSignal): void {
    call.onAbort = () => {
      this.#fail(call, signal.reason);
      for (const responder of call.responders ?? [])
        this.#inbox.say(responder, 'cancel', String(call.command.call));
    };
    signal.addEventListener('abort', call.onAbort, { once: true });
  }

  async #recover(attempt: () => Promise<void>): Promise<void> {
    if (this.#closed || this.pending === 0) return;
    try {
      await attempt();
    } catch (error) {
      if (!this.#closed)
        this.#options.report('answers could not be recovered after a reconnect', error);
    }
  }

  /** Takes the answers that were kept while the inbox could not be reached. */
  async #collect(): Promise<void> {
    const frames = await this.#transport.collect(keptFor(this.#inbox.address.name));
    for (const frame of frames) this.#inbox.receive(frame);
  }

  /** After a reconnect: what was kept for us, and what was on the broken connection. */
  async #askAgain(): Promise<void> {
    this.#conversations.interrupted();
    await this.#collect();
    const calls = [...this.#pending.keys()].join(' ');
    if (calls !== '') await this.#recovery.say('lost', this.#inbox.address.name, calls);
    await this.#sendAgain();
  }

  /** A channel's request may have been lost with the connection of either side; who has seen it ignores it. */
  async #sendAgain(): Promise<void> {
    const sent: Promise<unknown>[] = [];
    for (const call of this.#pending.values()) {
      const { to } = call.command;
      if (call.receivers === undefined || to.kind !== 'channel') continue;
      sent.push(this.#transport.send(to, this.#frame(call, { [AGAIN]: '1' })));
    }
    await Promise.all(sent);
  }

  #find(message: Message): PendingCall | undefined {
    const id = message.header(CALL_KEY);
    if (id !== undefined) return this.#pending.get(Number(id));
    const correlationId = message.header(CORRELATION_ID_KEY) ?? '';
    if (correlationId.startsWith(this.#prefix)) {
      const own = this.#pending.get(Number(correlationId.slice(this.#prefix.length)));
      if (own?.isNamed === false) return own;
    }
    const named = this.#named.get(correlationId);
    if (named === undefined) return undefined;
    const [first] = named;
    if (named.size === 1) return first;
    this.#options.report(
      `${named.size} calls share the correlation id '${correlationId}', and an answer does not say whose it is`,
      undefined,
    );
    return undefined;
  }

  #answer(call: PendingCall, message: Message, kind: 'value' | 'error' | 'declined'): void {
    try {
      if (kind === 'error') return this.#fail(call, errorIn(message));
      if (kind === 'declined') return this.#decline(call, errorIn(message));
      message.body = call.command.encoder.codec.decode(message.payload, message.contentType);
    } catch (error) {
      return this.#fail(call, error);
    }
    if (call.command.validate === undefined) {
      this.#forget(call);
      call.resolve(call.command.whole ? message : message.body);
    } else {
      this.#forget(call);
      void this.#resolveValid(call, call.command.validate, message);
    }
  }

  /** Somebody else may still answer, unless this was everybody; PUBLISH's count may come after the answer. */
  #decline(call: PendingCall, refusal: RedstartError): void {
    call.declined++;
    call.refusal = refusal;
    if (call.declined >= (call.receivers ?? Infinity)) this.#fail(call, refusal);
  }

  async #resolveValid(call: PendingCall, validate: Validate, message: Message): Promise<void> {
    try {
      message.body = await validate(message.body);
      call.resolve(call.command.whole ? message : message.body);
    } catch (error) {
      call.reject(error);
    }
  }

  #expire(call: PendingCall): void {
    const { to, correlationId } = call.command;
    this.#fail(call, new RpcTimeoutError(describe(to), call.timeout, correlationId));
  }

  #fail(call: PendingCall, reason: unknown): void {
    if (!this.#pending.has(call.command.call)) return;
    this.#forget(call);
    call.reject(reason);
  }

  #forget(call: PendingCall): void {
    this.#pending.delete(call.command.call);
    if (call.command.timeout !== null) this.#deadlines.remove(call);
    if (call.onAbort !== undefined) call.command.signal?.removeEventListener('abort', call.onAbort);
    if (call.ownReply !== undefined) this.#leave(call.ownReply);
    if (!call.isNamed) return;
    const sharing = this.#named.get(call.command.correlationId);
    sharing?.delete(call);
    if (sharing?.size === 0) this.#named.delete(call.command.correlationId);
  }

  #leave({ listening }: OwnReply): void {
    listening
      .then((listener) => listener.close())
      .catch((error: unknown) => {
        if (!this.#closed) this.#options.report('a reply channel could not be left', error);
      });
  }

  #name(call: PendingCall): void {
    const { correlationId } = call.command;
    const sharing = this.#named.get(correlationId);
    if (sharing === undefined) this.#named.set(correlationId, new Set([call]));
    else sharing.add(call);
  }
}
