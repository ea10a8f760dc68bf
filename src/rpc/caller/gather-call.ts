import { clearTimer, setTimer } from '../../internal/clock.ts';
import { deferred } from '../../internal/deferred.ts';
import { FROM_KEY, NAME_KEY, type Message } from '../../message/message.ts';
import type { CallCommand, Conversation } from './call.ts';
import type { Gathered } from '../../api/publishing.ts';
import { errorIn } from '../remote-error.ts';

export interface GatherCommand extends CallCommand {
  /** Enough answers. */
  readonly max: number;
}

/** A question to every subscriber of a channel, and the answers that have come. */
export class Gathering implements Conversation {
  readonly command: GatherCommand;
  readonly #forget: () => void;
  readonly #done = deferred<Gathered>();
  readonly #answers: Message[] = [];
  readonly #errors: Error[] = [];
  #declined = 0;
  #expected: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Responders that said their name and have not answered yet, by inbox. */
  readonly #waiting = new Map<string, string>();
  #checking = 0;

  constructor(command: GatherCommand, forget: () => void) {
    this.command = command;
    this.#forget = forget;
    const { timeout, signal } = command;
    if (timeout !== null) this.#timer = setTimer(() => this.#finish(), timeout);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted === true) this.#onAbort();
  }

  get result(): Promise<Gathered> {
    return this.#done.promise;
  }

  /** How many the question reached. */
  reached(receivers: number): void {
    this.#expected = receivers;
    this.#check();
  }

  fail(error: unknown): void {
    this.#close();
    this.#done.reject(error);
  }

  value(message: Message): void {
    this.#answered(message);
    try {
      message.body = this.command.encoder.codec.decode(message.payload, message.contentType);
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
        message.body = await validate(message.body);
        this.#answers.push(message);
      } catch (error) {
        this.#errors.push(error as Error);
      }
      this.#checking--;
      this.#check();
    })();
  }

  error(message: Message): void {
    this.#answered(message);
    this.#errors.push(errorIn(message));
    this.#check();
  }

  declined(message: Message): void {
    this.#answered(message);
    this.#declined++;
    this.#check();
  }

  taken(from: string, message: Message): void {
    const name = message.header(NAME_KEY);
    if (name !== undefined) this.#waiting.set(from, name);
  }

  // Whoever answers with a stream is answered for by its refusal.
  item(): void {}
  end(): void {}
  // What was lost is missing when time is up.
  interrupted(): void {}

  close(reason: Error): void {
    this.fail(reason);
  }

  readonly #onAbort = (): void => this.fail(this.command.signal?.reason);

  #answered(message: Message): void {
    const from = message.header(FROM_KEY);
    if (from !== undefined) this.#waiting.delete(from);
  }

  #check(): void {
    if (this.#checking > 0) return;
    const heard = this.#answers.length + this.#errors.length + this.#declined;
    if (heard >= (this.#expected ?? Infinity) || this.#answers.length >= this.command.max)
      this.#finish();
  }

  #finish(): void {
    this.#close();
    const heard = this.#answers.length + this.#errors.length + this.#declined;
    const expected = this.#expected ?? heard;
    const names = [...this.#waiting.values()];
    const unknown = Math.max(0, expected - heard - names.length);
    const missing = [...names, ...Array<string>(unknown).fill('unknown')];
    this.#done.resolve({ answers: this.#answers, errors: this.#errors, expected, missing });
  }

  #close(): void {
    clearTimer(this.#timer);
    this.command.signal?.removeEventListener('abort', this.#onAbort);
    this.#forget();
  }
}
