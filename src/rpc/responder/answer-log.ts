import type { Report } from '../../transport/source.ts';
import type { Inbox } from '../inbox.ts';
import type { GapChannel } from '../gap-channel.ts';

/** Answers remembered, at most; half a second of them at 30 000 calls/s. */
const CAPACITY = 16_384;
/** … and bytes. */
const MAX_BYTES = 8 * 1024 * 1024;
/** … and characters of the names beside them. */
const MAX_NAMES = 4 * 1024 * 1024;

/** Stands for an answer that is kept under a key. It takes a place among the others; no frame is that short. */
export const KEPT = new Uint8Array(1);

/** The last answers of this broker and the calls that are being handled, for callers that ask again after a lost connection. */
export class AnswerLog {
  readonly #inbox: Inbox;
  readonly #gapChannel: GapChannel;
  readonly #report: Report;
  /** Whether a call may come over a channel here, and so may be lost with its connection. */
  mayBeCalled = false;
  /**
   * Ring buffers: an answer's reply channel, call and first and last byte in `#frames` are at the same
   * index.
   */
  readonly #inboxes: string[] = [];
  readonly #calls: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** All frames, copied into one buffer: kept one by one each would survive a garbage collection, the dearest part of this class. */
  #frames: Buffer | undefined;
  /** Where the next frame goes. */
  #free = 0;
  /** Handlers that work for a call, by its inbox and id. */
  readonly #running = new Map<string, number>();
  #lastInbox = '';
  #names = 0;
  /** Answers remembered so far, and how many of them are forgotten again. */
  #next = 0;
  #oldest = 0;

  constructor(inbox: Inbox, gapChannel: GapChannel, report: Report) {
    this.#inbox = inbox;
    this.#gapChannel = gapChannel;
    this.#report = report;
  }

  /** A call has come: from now on its caller can ask for the answer. */
  expectQuestions(): void {
    this.#gapChannel.listen();
  }

  /** Remembers an answer that is being sent; with {@link KEPT}, one that is kept under a key. */
  remember(inbox: string, call: string, frame: Uint8Array): void {
    this.#gapChannel.listen();
    if (frame.length > MAX_BYTES) return this.remember(inbox, call, KEPT);
    this.#names += inbox.length + call.length;
    while (this.#names > MAX_NAMES) this.#forget();
    const frames = (this.#frames ??= Buffer.allocUnsafeSlow(MAX_BYTES));
    if (this.#next - this.#oldest === CAPACITY) this.#forget();
    if (this.#free + frame.length > MAX_BYTES) this.#beginAgain();
    const start = this.#free;
    const end = start + frame.length;
    while (this.#isUsed(start, end)) this.#forget();
    frames.set(frame, start);
    const at = this.#next++ % CAPACITY;
    // Consecutive answers mostly go to one inbox: they share one string.
    this.#inboxes[at] = this.#lastInbox === inbox ? this.#lastInbox : (this.#lastInbox = inbox);
    this.#calls[at] = call;
    this.#starts[at] = start;
    this.#ends[at] = end;
    this.#free = end;
  }

  /** The answer to a call, if its bytes are remembered. */
  find(inbox: string, call: string): Uint8Array | undefined {
    // From the newest on: an answer is looked for soon after it was sent.
    for (let i = this.#next - 1; i >= this.#oldest; i--) {
      const at = i % CAPACITY;
      if (this.#calls[at] !== call || this.#inboxes[at] !== inbox) continue;
      return this.#isKept(at) ? undefined : this.#frame(at);
    }
    return undefined;
  }

  /** A handler works for a call until `done`. Meanwhile a request for it that is sent again is ignored. */
  during(done: Promise<void>, inbox: string, call: string): Promise<void> {
    const key = `${inbox} ${call}`;
    this.#running.set(key, (this.#running.get(key) ?? 0) + 1);
    const end = (): void => {
      const left = (this.#running.get(key) ?? 0) - 1;
      if (left > 0) this.#running.set(key, left);
      else this.#running.delete(key);
    };
    return done.then(end, (error: unknown) => {
      end();
      throw error;
    });
  }

  /** Whether a request that was sent again has been seen here. If it was answered, the answer is sent again. */
  knows(inbox: string, call: string): boolean {
    return this.#running.has(`${inbox} ${call}`) || this.sendAgain(inbox, new Set([call])) > 0;
  }

  /**
   * Sends those of the calls' answers that are remembered; returns how many. `inbox` is the caller's:
   * answers to the own channels of its calls are sent, too.
   */
  sendAgain(inbox: string, calls: ReadonlySet<string>): number {
    let found = 0;
    for (let i = this.#oldest; i < this.#next; i++) {
      const at = i % CAPACITY;
      const name = this.#inboxes[at] as string;
      const call = this.#calls[at] as string;
      if (!name.startsWith(inbox) || !calls.has(call)) continue;
      found++;
      if (this.#isKept(at)) {
        this.#inbox.notifyOrLog(inbox, 'kept', call);
        continue;
      }
      this.#inbox.sendTo(name, this.#frame(at)).catch((error: unknown) => {
        this.#report('an answer could not be sent again', error);
      });
    }
    return found;
  }

  /** Notifies callers that their requests to this broker, or their questions for answers, may have been lost. */
  notifyGap(): void {
    if (this.#next === 0 && !this.mayBeCalled) return; // nobody calls this broker
    this.#gapChannel.notify('gap', this.#inbox.address.name).catch((error: unknown) => {
      this.#report('callers could not be told to ask again', error);
    });
  }

  #forget(): void {
    const at = this.#oldest++ % CAPACITY;
    this.#names -= (this.#inboxes[at] as string).length + (this.#calls[at] as string).length;
    this.#inboxes[at] = '';
    this.#calls[at] = '';
  }

  #isKept(at: number): boolean {
    return (this.#ends[at] as number) - (this.#starts[at] as number) === KEPT.length;
  }

  /** A copy: the bytes may be overwritten before it is sent. */
  #frame(at: number): Buffer {
    return Buffer.from((this.#frames as Buffer).subarray(this.#starts[at], this.#ends[at]));
  }

  /** The next frame goes to the front of the buffer; answers from there to the end are forgotten. */
  #beginAgain(): void {
    while (this.#isUsed(this.#free, MAX_BYTES)) this.#forget();
    this.#free = 0;
  }

  /** Whether the oldest answer begins in these bytes. */
  #isUsed(start: number, end: number): boolean {
    if (this.#oldest === this.#next) return false;
    const at = this.#starts[this.#oldest % CAPACITY] as number;
    return at >= start && at < end;
  }
}
