import { BrokerClosedError, OverloadedError, SendError } from '../../errors.ts';
import type { Expiring } from '../../internal/deadlines.ts';
import { uniqueId } from '../../internal/ids.ts';
import { CORRELATION_ID } from '../../message/headers.ts';
import { CALL_KEY, CORRELATION_ID_KEY, type ReceivedMessage } from '../../message/message.ts';
import { describe } from '../../transport/address.ts';
import type { Listener, Report } from '../../transport/source.ts';
import type { Receipt } from '../../transport/transport.ts';
import type { CallCommand, CallEnd, WaitingCall } from './call.ts';

/** What `Calls` does for a pending call when something happens to it. */
export interface CallOwner {
  /** The server has taken the request; `receivers` is PUBLISH's count. */
  reached(call: PendingCall, receivers: number): void;
  /** An answer arrived. */
  answer(call: PendingCall, message: ReceivedMessage, kind: 'value' | 'error' | 'declined'): void;
  /** Rejects the call, if it still waits. */
  fail(call: PendingCall, reason: unknown): void;
  /** Rejects the call, and has its handlers stop. */
  leave(call: PendingCall, reason: unknown): void;
}

/** Responders of one call that are remembered for its cancellation, at most. */
export const MAX_RESPONDERS = 1_024;

/** A reply channel that one call has to itself. */
export interface OwnReply {
  readonly address: { readonly name: string; readonly kind: 'channel' };
  readonly listening: Promise<Listener>;
}

/** A call with one answer, from its registration until it ends. */
export class PendingCall implements Expiring, Receipt, WaitingCall {
  readonly command: CallCommand;
  /** Receivers that PUBLISH reached, once known; 1 for a list or a stream. */
  receivers: number | undefined;
  /** Receivers that said that they will not answer. */
  declines = 0;
  /** The error that the last of them sent. */
  refusal: Error | undefined = undefined;
  /** Inboxes of responders whose handlers can be cancelled. */
  responders: Set<string> | undefined = undefined;
  /** When the request was sent again, in monotonic milliseconds, and how often. */
  repeatedAt = 0;
  repeats = 0;
  onAbort: (() => void) | undefined = undefined;
  /** Where the answer comes, if not to the inbox that all calls share. */
  ownReply: OwnReply | undefined = undefined;
  readonly timeout: number;
  expiresAt = 0;
  isWanted = true;
  /** Its answer has come, and a schema checks it. */
  isAnswered = false;
  isWaiting = false;
  queue: Expiring['queue'] = undefined;
  previous: Expiring | undefined = undefined;
  next: Expiring | undefined = undefined;
  readonly #owner: CallOwner;
  readonly #resolve: (answer: unknown) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #end: CallEnd | undefined;

  constructor(
    owner: CallOwner,
    command: CallCommand,
    resolve: (answer: unknown) => void,
    reject: (reason: unknown) => void,
    end: CallEnd | undefined,
  ) {
    this.#owner = owner;
    this.command = command;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#end = end;
    this.receivers = command.to.kind === 'channel' ? undefined : 1;
    this.timeout = command.timeout ?? 0;
  }

  resolve(answer: unknown): void {
    this.#end?.emit(undefined);
    this.#resolve(answer);
  }

  reject(reason: unknown): void {
    this.#end?.emit(reason);
    this.#reject(reason);
  }

  sent(reply: number | string): void {
    if (this.command.to.kind === 'channel') this.#owner.reached(this, reply as number);
  }

  refused(error: unknown): void {
    if (this.isAnswered) return; // it arrived all the same
    this.#owner.fail(this, new SendError(describe(this.command.to), error));
  }

  value(message: ReceivedMessage): void {
    this.#owner.answer(this, message, 'value');
  }

  error(message: ReceivedMessage): void {
    this.#owner.answer(this, message, 'error');
  }

  declined(message: ReceivedMessage): void {
    this.#owner.answer(this, message, 'declined');
  }

  taken(from: string): void {
    this.responders ??= new Set();
    if (this.responders.size < MAX_RESPONDERS) this.responders.add(from);
  }

  // A responder sends items only to a caller that asked for a stream.
  item(): void {}
  end(): void {}
  // `Recovery` asks for the answer again.
  interrupted(): void {}

  close(): void {
    this.#owner.leave(this, new BrokerClosedError('the broker was closed before an answer came'));
  }
}

/**
 * All calls that wait, of every kind, by their ids. A responder that echoes the call's id is matched
 * by it; FastStream echoes nothing but the correlation id, which is the call's id as well unless the
 * caller has chosen one.
 */
export class CallTable {
  readonly #maxPending: number;
  readonly #report: Report;
  readonly #calls = new Map<string, WaitingCall>();
  /** Calls whose correlation id was chosen by the caller, by that id. */
  readonly #named = new Map<string, Set<WaitingCall>>();
  #closed = false;

  /** `maxPending`: calls that may wait at once. */
  constructor(maxPending: number, report: Report) {
    this.#maxPending = maxPending;
    this.#report = report;
  }

  get size(): number {
    return this.#calls.size;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Why no further call can be made now, if so. */
  refusal(): Error | undefined {
    if (this.#closed) return new BrokerClosedError();
    return this.#calls.size >= this.#maxPending ? new OverloadedError(this.#maxPending) : undefined;
  }

  /**
   * The command as it can be added. Middleware may have sent the same one before; and a header
   * `correlation_id` takes the place of the correlation id, also in the answer.
   */
  admit<C extends CallCommand>(command: C): C {
    const { headers } = command;
    const named = headers === undefined ? undefined : headers[CORRELATION_ID];
    if (named === undefined && !this.#calls.has(command.call)) return command;
    const call = this.#calls.has(command.call) ? uniqueId() : command.call;
    return { ...command, call, correlationId: String(named ?? command.correlationId) };
  }

  /** Adds a call. Until `name` is called, a correlation id of the caller's choice does not find it. */
  add(call: WaitingCall): void {
    this.#calls.set(call.command.call, call);
  }

  /** Whether the correlation id was chosen by the caller. */
  isNamed({ call, correlationId }: CallCommand): boolean {
    return correlationId !== call;
  }

  /** Has the call found by a correlation id that the caller chose. */
  name(call: WaitingCall): void {
    const { correlationId } = call.command;
    const sharing = this.#named.get(correlationId);
    if (sharing === undefined) this.#named.set(correlationId, new Set([call]));
    else sharing.add(call);
  }

  /** Whether a waiting call is found by this correlation id. */
  isTaken(correlationId: string): boolean {
    return this.#named.has(correlationId) || this.#unnamed(correlationId) !== undefined;
  }

  has(call: WaitingCall): boolean {
    return this.#calls.get(call.command.call) === call;
  }

  remove(call: WaitingCall): void {
    if (!this.has(call)) return;
    const { call: id, correlationId } = call.command;
    this.#calls.delete(id);
    if (this.#named.size === 0) return;
    const sharing = this.#named.get(correlationId);
    if (sharing?.delete(call) === true && sharing.size === 0) this.#named.delete(correlationId);
  }

  /** The call that a message belongs to; undefined where it no longer waits, or cannot be told from others. */
  find(message: ReceivedMessage): WaitingCall | undefined {
    const id = message.header(CALL_KEY);
    if (id !== undefined) return this.#calls.get(id);
    const correlationId = message.header(CORRELATION_ID_KEY) ?? '';
    const unnamed = this.#unnamed(correlationId);
    if (unnamed !== undefined) return unnamed;
    const named = this.#named.get(correlationId);
    if (named === undefined) return undefined;
    const [first] = named;
    if (named.size === 1) return first;
    this.#report(
      `${named.size} calls share the correlation id '${correlationId}', and an answer does not say which call it is for`,
      undefined,
    );
    return undefined;
  }

  /** Of every kind, as they are now: the calls may end while the list is read. */
  all(): WaitingCall[] {
    return [...this.#calls.values()];
  }

  /** The calls that still wait for their one answer, as they are now. */
  pending(): PendingCall[] {
    return this.all().filter(
      (call): call is PendingCall => call instanceof PendingCall && !call.isAnswered,
    );
  }

  /** Ends every call, and refuses new ones from now on. */
  close(): void {
    this.#closed = true;
    for (const call of this.all()) call.close();
  }

  /** The call with a correlation id that was made here. */
  #unnamed(correlationId: string): WaitingCall | undefined {
    const call = this.#calls.get(correlationId);
    return call?.command.correlationId === correlationId ? call : undefined;
  }
}
