import type { Report } from '../../transport/source.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Inbox } from '../inbox.ts';
import type { Recovery } from '../gap-channel.ts';

/** Answers remembered, at most; half a second of them at 30 000 calls/s. */
const CAPACITY = 16_384;
/** … and bytes. */
const MAX_BYTES = 8 * 1024 * 1024;

/** What this broker has answered lately, and what it is about to: for callers that ask again. */
export class AnswerLog {
  readonly #transport: Transport;
  readonly #inbox: Inbox;
  readonly #recovery: Recovery;
  readonly #report: Report;
  /** Rings: an answer's inbox, call and place among the bytes are at the same index. */
  readonly #inboxes: string[] = [];
  readonly #calls: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** All frames, copied: kept one by one they would outlive a collection each, and cost more than all else here. */
  #frames: Buffer | undefined;
  /** Where the next frame goes. */
  #free = 0;
  readonly #running = new Set<string>();
  #lastInbox = '';
  #next = 0;
  #oldest = 0;

  constructor(transport: Transport, inbox: Inbox, recovery: Recovery, report: Report) {
    this.#transport = transport;
    this.#inbox = inbox;
    this.#recovery = recovery;
    this.#report = report;
    recovery.onLost = (from, calls) => this.#answerAgain(from, new Set(calls.split(' ')));
    recovery.onRestored = () => this.#announceGap();
  }

  /** Remembers an answer that is being sent. */
  remember(inbox: string, call: string, frame: Uint8Array): void {
    this.#recovery.listen();
    if (frame.length > MAX_BYTES) return;
    const frames = (this.#frames ??= Buffer.allocUnsafeSlow(MAX_BYTES));
    if (this.#next - this.#oldest === CAPACITY) this.#oldest++;
    if (this.#free + frame.length > MAX_BYTES) this.#beginAgain();
    const start = this.#free;
    const end = start + frame.length;
    while (this.#isUsed(start, end)) this.#oldest++;
    frames.set(frame, start);
    const at = this.#next++ % CAPACITY;
    // Few inboxes ask; one text stands for all that are equal.
    this.#inboxes[at] = this.#lastInbox === inbox ? this.#lastInbox : (this.#lastInbox = inbox);
    this.#calls[at] = call;
    this.#starts[at] = start;
    this.#ends[at] = end;
    this.#free = end;
  }

  /** The answer to a call, if it is remembered. */
  find(inbox: string, call: string): Uint8Array | undefined {
    // Most likely it was among the last.
    for (let i = this.#next - 1; i >= this.#oldest; i--) {
      const at = i % CAPACITY;
      if (this.#calls[at] === call && this.#inboxes[at] === inbox) return this.#frame(at);
    }
    return undefined;
  }

  /** A call's handler runs, and may take its time. */
  begin(inbox: string, call: string): void {
    this.#running.add(`${inbox} ${call}`);
  }

  end(inbox: string, call: string): void {
    this.#running.delete(`${inbox} ${call}`);
  }

  /** Whether a request that was sent again is known here; if it was answered, that answer is sent again. */
  knows(inbox: string, call: string): boolean {
    return this.#running.has(`${inbox} ${call}`) || this.#answerAgain(inbox, new Set([call])) > 0;
  }

  #answerAgain(inbox: string, calls: ReadonlySet<string>): number {
    let found = 0;
    for (let i = this.#oldest; i < this.#next; i++) {
      const at = i % CAPACITY;
      if (this.#inboxes[at] !== inbox || !calls.has(this.#calls[at] as string)) continue;
      found++;
      this.#transport
        .send({ kind: 'channel', name: inbox }, this.#frame(at))
        .catch((error: unknown) => {
          this.#report('an answer could not be sent again', error);
        });
    }
    return found;
  }

  #announceGap(): void {
    if (this.#next === 0) return; // nobody calls us
    this.#recovery.say('gap', this.#inbox.address.name).catch((error: unknown) => {
      this.#report('callers could not be told to ask again', error);
    });
  }

  /** A copy: the place may be taken before it is sent. */
  #frame(at: number): Buffer {
    return Buffer.from((this.#frames as Buffer).subarray(this.#starts[at], this.#ends[at]));
  }

  /** The next frame goes to the front; what is left behind is older than all there. */
  #beginAgain(): void {
    while (this.#isUsed(this.#free, MAX_BYTES)) this.#oldest++;
    this.#free = 0;
  }

  /** Whether the oldest answer stands in these bytes. */
  #isUsed(start: number, end: number): boolean {
    if (this.#oldest === this.#next) return false;
    const at = this.#starts[this.#oldest % CAPACITY] as number;
    return at >= start && at < end;
  }
}
