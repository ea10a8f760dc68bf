import { clearTimer, setDeadline } from '../../internal/clock.ts';
import { deferred, type Deferred } from '../../internal/deferred.ts';
import { offAbort, onAbort } from '../../internal/signals.ts';
import { BrokerClosedError, RpcTimeoutError, StreamBrokenError } from '../../errors.ts';
import { FROM_KEY, SEQUENCE_KEY, type ReceivedMessage } from '../../message/message.ts';
import { validateEmpty, type Validate } from '../../message/schema.ts';
import { describe } from '../../transport/address.ts';
import type { CallCommand, WaitingCall } from './call.ts';
import { errorIn } from '../remote-error.ts';

/** Stands for an item that was sent as an empty body. */
const EMPTY = Symbol('empty');

/**
 * Bytes of items that may be on their way or unread before the next item is sent. Redis holds at most
 * 32 MB for one subscriber, and one more item has up to `maxBytes`.
 */
export const MAX_UNREAD = 4 * 2 ** 20;

/** A call for a stream. */
export interface StreamCommand extends CallCommand {
  /** Milliseconds to wait for the next item; `null` waits for ever. */
  readonly itemTimeout: number | null;
  /** Items that may be sent and not yet taken by the reader. */
  readonly window: number;
}

/** What `MultiCalls` does for a stream. */
export interface StreamHost {
  /** Sends the request. */
  send(stream: StreamCall): Promise<unknown>;
  /** Notifies the responder of how many items the reader has taken since the beginning. */
  credit(responder: string, consumed: number): void;
  /** Has the responder stop. */
  cancel(responder: string): void;
  /** The stream has ended. */
  forget(stream: StreamCall): void;
}

/** The caller's side of a stream of answers: an async iterator that buffers at most `window` items. */
export class StreamCall implements AsyncIterableIterator<unknown, undefined>, WaitingCall {
  readonly command: StreamCommand;
  readonly #host: StreamHost;
  readonly #items: unknown[] = [];
  /** The bytes of each of them. */
  readonly #sizes: number[] = [];
  #responder: string | undefined;
  #sequence = 0;
  #consumed = 0;
  #credited = 0;
  /** Bytes of the items that were taken and not credited yet. */
  #uncredited = 0;
  #isStarted = false;
  #end: { error: Error } | 'done' | undefined;
  /** What all reads that find nothing wait for. */
  #arriving: Deferred<void> | undefined;
  #overall: NodeJS.Timeout | undefined;
  #itemTimer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => this.#stop(this.command.signal?.reason);

  constructor(command: StreamCommand, host: StreamHost) {
    this.command = command;
    this.#host = host;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (!this.#isStarted) this.#start();
    while (this.#items.length === 0 && this.#end === undefined) await this.#arrival();
    if (this.#items.length > 0) {
      const value = this.#items.shift();
      this.#consumed++;
      this.#uncredited += this.#sizes.shift() ?? 0;
      this.#credit();
      const { validate } = this.command;
      if (validate !== undefined) return { done: false, value: await this.#valid(validate, value) };
      return { done: false, value: value === EMPTY ? null : value };
    }
    const end = this.#end;
    if (end === undefined || end === 'done') return { done: true, value: undefined };
    this.#end = 'done';
    throw end.error;
  }

  /** Ends the stream early: the handler's generator is stopped, its `finally` runs. */
  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#stop(undefined);
    this.#items.length = 0;
    this.#sizes.length = 0;
    this.#end = 'done';
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** The first responder sends the stream. Any other is cancelled: the items of two would mix. */
  taken(responder: string): void {
    if (this.#responder === undefined && this.#end === undefined) {
      this.#responder = responder;
      this.#credit();
    } else if (this.#responder !== responder) {
      this.#host.cancel(responder);
    } else if (this.#end === undefined && this.#consumed > 0) {
      // It asks because it waits: what it was granted last may be lost.
      this.#grant(responder);
    }
  }

  item(message: ReceivedMessage): void {
    this.#receive(message, false);
  }

  end(message: ReceivedMessage): void {
    this.#receive(message, true);
  }

  /** A handler that returned one value is a stream of one. */
  value(message: ReceivedMessage): void {
    if (this.#end !== undefined) return;
    try {
      this.#items.push(this.#decode(message));
      this.#finish('done');
    } catch (error) {
      this.#stop(error);
    }
  }

  error(message: ReceivedMessage): void {
    this.#finish({ error: errorIn(message) });
  }

  declined(message: ReceivedMessage): void {
    this.error(message);
  }

  interrupted(): void {
    this.#stop(new StreamBrokenError('the connection was lost while the stream was read'));
  }

  close(): void {
    this.#stop(new BrokerClosedError('the broker was closed before all had come'));
  }

  #receive(message: ReceivedMessage, isEnd: boolean): void {
    const from = message.header(FROM_KEY);
    if (from !== undefined && this.#responder === undefined) this.taken(from);
    if (this.#end !== undefined || from !== this.#responder) return;
    const sequence = message.count(SEQUENCE_KEY);
    if (sequence !== this.#sequence + (isEnd ? 0 : 1)) {
      this.#stop(
        new StreamBrokenError(
          `items ${this.#sequence + 1} to ${sequence ?? '?'} of the stream were lost`,
        ),
      );
      return;
    }
    if (isEnd) {
      this.#finish('done');
      return;
    }
    this.#sequence = sequence;
    try {
      this.#items.push(this.#decode(message));
      this.#sizes.push(message.raw.length);
      this.#wake();
    } catch (error) {
      this.#stop(error);
    }
  }

  #decode(message: ReceivedMessage): unknown {
    const value = message.decode(this.command.encoder.codec);
    return value === null && message.payload.length === 0 ? EMPTY : value;
  }

  #start(): void {
    this.#isStarted = true;
    const { timeout, signal } = this.command;
    if (signal?.aborted === true) return this.#stop(signal.reason);
    if (signal !== undefined) onAbort(signal, this.#onAbort);
    if (timeout !== null)
      this.#overall = setDeadline(() => this.#stop(this.#timeout(timeout)), timeout);
    this.#host.send(this).catch((error: unknown) => this.#stop(error));
  }

  #arrival(): Promise<void> {
    if (this.#arriving !== undefined) return this.#arriving.promise;
    this.#arriving = deferred();
    const { itemTimeout } = this.command;
    if (itemTimeout !== null)
      this.#itemTimer = setDeadline(() => this.#stop(this.#timeout(itemTimeout)), itemTimeout);
    return this.#arriving.promise;
  }

  /** Ends the wait of all reads: in their order, each takes an item or waits again. */
  #wake(): void {
    clearTimer(this.#itemTimer);
    this.#arriving?.resolve();
    this.#arriving = undefined;
  }

  #timeout(milliseconds: number): RpcTimeoutError {
    const { to, correlationId } = this.command;
    return new RpcTimeoutError(describe(to), milliseconds, correlationId);
  }

  async #valid(validate: Validate, value: unknown): Promise<unknown> {
    try {
      return await (value === EMPTY ? validateEmpty(validate) : validate(value));
    } catch (error) {
      this.#stop(undefined);
      this.#end = 'done';
      throw error;
    }
  }

  /** Sent for half a window at a time, of items or of bytes: few notices, and the responder never waits for one. */
  #credit(): void {
    if (this.#responder === undefined || this.#end !== undefined) return;
    const isHalf = this.#consumed - this.#credited >= this.command.window / 2;
    if (!isHalf && this.#uncredited < MAX_UNREAD / 2) return;
    this.#grant(this.#responder);
  }

  #grant(responder: string): void {
    this.#credited = this.#consumed;
    this.#uncredited = 0;
    this.#host.credit(responder, this.#consumed);
  }

  /** Ends the stream from this side: cancels the responder; the reader gets `error` after the items that have arrived. */
  #stop(error: unknown): void {
    if (this.#end !== undefined) return;
    if (this.#responder !== undefined) this.#host.cancel(this.#responder);
    this.#finish(error === undefined ? 'done' : { error: error as Error });
  }

  #finish(end: { error: Error } | 'done'): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    clearTimer(this.#overall);
    const { signal } = this.command;
    if (signal !== undefined) offAbort(signal, this.#onAbort);
    this.#host.forget(this);
    this.#wake();
  }
}
