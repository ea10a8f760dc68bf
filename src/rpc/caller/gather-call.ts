import { BrokerClosedError } from '../../errors.ts';
import { clearTimer, setDeadline } from '../../internal/clock.ts';
import { offAbort, onAbort } from '../../internal/signals.ts';
import { deferred } from '../../internal/deferred.ts';
import { FROM_KEY, NAME_KEY, type ReceivedMessage } from '../../message/message.ts';
import { validateBody } from '../../message/schema.ts';
import type { CallCommand, WaitingCall } from './call.ts';
import type { GatherResult } from '../../api/publishing.ts';
import { MAX_RESPONDERS } from './call-table.ts';
import { errorIn } from '../remote-error.ts';

export interface GatherCommand extends CallCommand {
  /** Answers after which the call ends. */
  readonly max: number;
}

/** What `MultiCalls` does for a gather. */
export interface GatherHost {
  /** The call has ended. */
  forget(call: GatherCall): void;
  /** Has the handlers of a responder stop. */
  cancel(responder: string): void;
}

/** A call to every subscriber of a channel, and the answers that have arrived. */
export class GatherCall implements WaitingCall {
  readonly command: GatherCommand;
  readonly #host: GatherHost;
  readonly #done = deferred<GatherResult>();
  readonly #answers: ReceivedMessage[] = [];
  readonly #errors: Error[] = [];
  #declined = 0;
  #expected: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Names of the responders that announced themselves and have not answered yet, by inbox. */
  readonly #waiting = new Map<string, string>();
  /** Inboxes of responders that have not answered and can be cancelled. */
  readonly #cancellable = new Set<string>();
  /** Answers that are being validated. */
  #checking = 0;

  constructor(command: GatherCommand, host: GatherHost) {
    this.command = command;
    this.#host = host;
    const { timeout, signal } = command;
    if (timeout !== null) this.#timer = setDeadline(() => this.#finish(), timeout);
    if (signal !== undefined) onAbort(signal, this.#onAbort);
  }

  get result(): Promise<GatherResult> {
    return this.#done.promise;
  }

  /** The number of receivers is known. */
  reached(receivers: number): void {
    this.#expected = receivers;
    this.#check();
  }

  fail(error: unknown): void {
    this.#end();
    this.#done.reject(error);
  }

  value(message: ReceivedMessage): void {
    this.#answered(message);
    try {
      message.body = message.decode(this.command.encoder.codec);
    } catch (error) {
      this.#errors.push(error as Error);
      this.#check();
      return;
    }
    const { validate } = this.command;
    if (validate === undefined) {
      this.#answers.push(message);
      this.#check();
      return;
    }
    this.#checking++;
    void (async () => {
      try {
        message.body = await validateBody(validate, message);
        this.#answers.push(message);
      } catch (error) {
        this.#errors.push(error as Error);
      }
      this.#checking--;
      this.#check();
    })();
  }

  error(message: ReceivedMessage): void {
    this.#answered(message);
    this.#errors.push(errorIn(message));
    this.#check();
  }

  declined(message: ReceivedMessage): void {
    this.#answered(message);
    this.#declined++;
    this.#check();
  }

  taken(from: string, message: ReceivedMessage): void {
    if (this.#cancellable.size >= MAX_RESPONDERS) return;
    this.#cancellable.add(from);
    const name = message.header(NAME_KEY);
    if (name !== undefined) this.#waiting.set(from, name);
  }

  // A handler that answers with a stream refuses the call with an error.
  item(): void {}
  end(): void {}
  // An answer that was lost is in `missing` when the time is up.
  interrupted(): void {}

  close(): void {
    this.#leave(new BrokerClosedError('the broker was closed before all had come'));
  }

  readonly #onAbort = (): void => this.#leave(this.command.signal?.reason);

  #leave(reason: unknown): void {
    this.fail(reason);
    for (const responder of this.#cancellable) this.#host.cancel(responder);
  }

  #answered(message: ReceivedMessage): void {
    const from = message.header(FROM_KEY);
    if (from === undefined) return;
    this.#waiting.delete(from);
    this.#cancellable.delete(from);
  }

  /** Receivers that have answered, with a value, an error or a refusal. */
  get #heard(): number {
    return this.#answers.length + this.#errors.length + this.#declined;
  }

  #check(): void {
    if (this.#checking > 0) return;
    if (this.#heard >= (this.#expected ?? Infinity) || this.#answers.length >= this.command.max)
      this.#finish();
  }

  #finish(): void {
    this.#end();
    const heard = this.#heard;
    const expected = this.#expected ?? heard;
    const names = [...this.#waiting.values()];
    const unknown = Math.max(0, expected - heard - names.length);
    const missing = [...names, ...Array<string>(unknown).fill('unknown')];
    this.#done.resolve({ answers: this.#answers, errors: this.#errors, expected, missing });
  }

  #end(): void {
    clearTimer(this.#timer);
    const { signal } = this.command;
    if (signal !== undefined) offAbort(signal, this.#onAbort);
    this.#host.forget(this);
  }
}
