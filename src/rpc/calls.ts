import {
  BrokerClosedError,
  NoRespondersError,
  OverloadedError,
  RedstartError,
  RpcTimeoutError,
  SendError,
  messageOf,
} from '../errors.ts';
import { Deadlines, type Expiring } from '../internal/deadlines.ts';
import { randomId } from '../internal/ids.ts';
import type { Codec } from '../message/codec.ts';
import { CALL } from '../message/headers.ts';
import { openFrame, type MessageFormat } from '../message/format.ts';
import { CALL_KEY, CORRELATION_ID_KEY, Message, STATUS_KEY } from '../message/message.ts';
import type { Validate } from '../message/schema.ts';
import type { PublishCommand } from '../publish/command.ts';
import type { Encoder } from '../publish/encoder.ts';
import { describe } from '../transport/address.ts';
import type { Listener, Report, Transport } from '../transport/transport.ts';
import { fromWire } from './remote-error.ts';
import { DECLINED, ERROR } from './reply.ts';

export interface CallsOptions {
  /** Calls that may wait for an answer at once. */
  readonly maxPending: number;
  readonly inboxPrefix: string;
  readonly codec: Codec;
  readonly format: MessageFormat;
  readonly report: Report;
}

/** A call on its way out. */
export interface CallCommand extends PublishCommand {
  /** From {@link Calls.reserve}. */
  readonly call: number;
  /** Milliseconds; `null` waits for ever. */
  readonly timeout: number | null;
  /** Checks the answer's body. */
  readonly validate: Validate | undefined;
  readonly encoder: Encoder;
  /** Resolve with the whole message, not with its body alone. */
  readonly whole: boolean;
}

interface PendingCall extends Expiring {
  readonly command: CallCommand;
  /** Whether the correlation id is the caller's own choice. */
  readonly isNamed: boolean;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Receivers that PUBLISH reached, once known; 1 for a list or a stream. */
  receivers: number | undefined;
  /** Receivers that said that they will not answer. */
  declined: number;
}

/**
 * The calls that wait for an answer. All answers come to one channel, the inbox, which is
 * subscribed to at the first call and confirmed before anything is sent.
 */
export class Calls {
  /** Answers that nobody waited for any more. */
  lateAnswers = 0;

  readonly #transport: Transport;
  readonly #options: CallsOptions;
  readonly #inbox: { readonly name: string; readonly kind: 'channel' };
  readonly #prefix = randomId(12);
  readonly #pending = new Map<number, PendingCall>();
  /** Calls whose correlation id the caller chose: found by it when an answer does not echo the call's id. */
  readonly #named = new Map<string, Set<PendingCall>>();
  readonly #deadlines = new Deadlines<PendingCall>((call) => this.#expire(call));
  #listening: Promise<Listener> | undefined;
  #listener: Listener | undefined;
  #count = 0;
  #closed = false;

  constructor(transport: Transport, options: CallsOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#inbox = { kind: 'channel', name: options.inboxPrefix + randomId(22) };
  }

  get pending(): number {
    return this.#pending.size;
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
    if (this.#closed) return Promise.reject(new BrokerClosedError());
    if (this.#pending.size >= this.#options.maxPending) {
      return Promise.reject(new OverloadedError(this.#options.maxPending));
    }
    return new Promise((resolve, reject) => {
      const call: PendingCall = {
        command,
        isNamed: command.correlationId !== this.correlationId(command.call),
        resolve,
        reject,
        receivers: command.to.kind === 'channel' ? undefined : 1,
        declined: 0,
        timeout: command.timeout ?? 0,
        expiresAt: 0,
        previous: undefined,
        next: undefined,
      };
      this.#pending.set(command.call, call);
      if (call.isNamed) this.#name(call);
      if (command.timeout !== null) this.#deadlines.add(call);
      const ready = this.#ready();
      if (ready === undefined) this.#send(call);
      else ready.then(() => this.#send(call), (error: unknown) => this.#fail(call, error));
    });
  }

  /** Rejects what still waits, and leaves the inbox. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#pending.values()) {
      this.#fail(call, new BrokerClosedError('the broker was closed before an answer came'));
    }
    this.#deadlines.clear();
    await this.#listener?.close();
  }

  /** Undefined when the inbox is confirmed on the current connection, else a promise for when it is. */
  #ready(): Promise<unknown> | undefined {
    if (this.#listener !== undefined) return this.#listener.ready();
    this.#listening ??= this.#listen();
    return this.#listening;
  }

  async #listen(): Promise<Listener> {
    try {
      const onFrame = (frame: Buffer): void => this.#receive(frame);
      this.#listener = await this.#transport.listen(this.#inbox.name, onFrame, this.#options.report);
      return this.#listener;
    } catch (error) {
      this.#listening = undefined;
      throw error;
    }
  }

  #send(call: PendingCall): void {
    if (!this.#pending.has(call.command.call)) return; // ended while the inbox was being confirmed
    const { command } = call;
    try {
      const frame = command.encoder.encode(command, this.#inbox, { [CALL]: String(command.call) });
      this.#transport.send(command.to, frame).then(
        (receivers) => {
          if (command.to.kind === 'channel') this.#reached(call, receivers as number);
        },
        (error: unknown) => this.#fail(call, new SendError(describe(command.to), error)),
      );
    } catch (error) {
      this.#fail(call, error);
    }
  }

  #reached(call: PendingCall, receivers: number): void {
    if (!this.#transport.countsReceivers) return;
    call.receivers = receivers;
    if (receivers === 0) this.#fail(call, new NoRespondersError(describe(call.command.to)));
  }

  /** One answer. Nothing that a stranger can send here may throw. */
  #receive(bytes: Buffer): void {
    try {
      const frame = openFrame(bytes, this.#options.format);
      const message = new Message(bytes, frame, { channel: this.#inbox.name });
      const call = this.#find(message);
      if (call === undefined) this.lateAnswers++;
      else this.#answer(call, message);
    } catch (error) {
      this.#options.report('an answer could not be read', error);
    }
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

  #answer(call: PendingCall, message: Message): void {
    const status = message.header(STATUS_KEY);
    try {
      message.body = this.#options.codec.decode(message.payload, message.contentType);
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    if (status === ERROR) {
      this.#fail(call, fromWire(message.body));
    } else if (status === DECLINED) {
      this.#decline(call, message);
    } else if (call.command.validate === undefined) {
      this.#forget(call);
      call.resolve(call.command.whole ? message : message.body);
    } else {
      this.#forget(call);
      void this.#resolveValid(call, call.command.validate, message);
    }
  }

  /** Somebody else may still answer, unless this was everybody. */
  #decline(call: PendingCall, message: Message): void {
    call.declined++;
    if (call.declined >= (call.receivers ?? Infinity)) this.#fail(call, fromWire(message.body));
    // PUBLISH's count comes on another connection, and may come after the answer.
    else if (call.receivers === undefined) {
      const reached = this.#transport.flush();
      reached.then(
        () => {
          if (call.declined >= (call.receivers ?? Infinity)) this.#fail(call, fromWire(message.body));
        },
        () => undefined, // the connection was lost; the call's own deadline ends it
      );
    }
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
    call.reject(reason instanceof Error ? reason : new RedstartError('UNKNOWN', messageOf(reason)));
  }

  #forget(call: PendingCall): void {
    this.#pending.delete(call.command.call);
    if (call.command.timeout !== null) this.#deadlines.remove(call);
    if (!call.isNamed) return;
    const sharing = this.#named.get(call.command.correlationId);
    sharing?.delete(call);
    if (sharing?.size === 0) this.#named.delete(call.command.correlationId);
  }

  #name(call: PendingCall): void {
    const { correlationId } = call.command;
    const sharing = this.#named.get(correlationId);
    if (sharing === undefined) this.#named.set(correlationId, new Set([call]));
    else sharing.add(call);
  }
}
