import type { Report } from '../../transport/source.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Inbox } from '../inbox.ts';
import type { GapChannel } from '../gap-channel.ts';

/** Answers remembered, at most; half a second of them at 30 000 calls/s. */
const CAPACITY = 16_384;
/** … and bytes. */
const MAX_BYTES = 8 * 1024 * 1024;

/** The last answers of this broker and the calls that are being handled, for callers that ask again after a lost connection. */
export class AnswerLog {
  readonly #transport: Transport;
  readonly #inbox: Inbox;
  readonly #gapChannel: GapChannel;
  readonly #report: Report;
  /** Ring buffers: an answer's inbox, call and first and last byte in `#frames` are at the same index. */
  readonly #inboxes: string[] = [];
  readonly #calls: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** All frames, copied into one buffer: kept one by one each would survive a garbage collection, the dearest part of this class. */
  #frames: Buffer | undefined;
  /** Where the next frame goes. */
  #free = 0;
  /** Calls that are being handled: inbox and number. */
  readonly #running = new Set<string>();
  #lastInbox = '';
  /** Answers remembered so far, and how many of them are forgotten again. */
  #next = 0;
  #oldest = 0;

  constructor(transport: Transport, inbox: Inbox, gapChannel: GapChannel, report: Report) {
    this.#transport = transport;
    this.#inbox = inbox;
    this.#gapChannel = gapChannel;
    this.#report = report;
  }

  /** Remembers an answer that is being sent. */
  remember(inbox: string, call: string, frame: Uint8Array): void {
    this.#gapChannel.listen();
    if (frame.length > MAX_BYTES) return;
    const frames = (this.#frames ??= Buffer.allocUnsafeSlow(MAX_BYTES));
    if (this.#next - this.#oldest === CAPACITY) this.#oldest++;
    if (this.#free + frame.length > MAX_BYTES) this.#beginAgain();
    const start = this.#free;
    const end = start + frame.length;
    while (this.#isUsed(start, end)) this.#oldest++;
    frames.set(frame, start);
    const at = this.#next++ % CAPACITY;
    // Consecutive answers mostly go to one inbox: they share one string.
    this.#inboxes[at] = this.#lastInbox === inbox ? this.#lastInbox : (this.#lastInbox = inbox);
    this.#calls[at] = call;
    this.#starts[at] = start;
    this.#ends[at] = end;
    this.#free = end;
  }

  /** The answer to a call, if it is remembered. */
  find(inbox: string, call: string): Uint8Array | undefined {
    // From the newest on: an answer is looked for soon after it was sent.
    for (let i = this.#next - 1; i >= this.#oldest; i--) {
      const at = i % CAPACITY;
      if (this.#calls[at] === call && this.#inboxes[at] === inbox) return this.#frame(at);
    }
    return undefined;
  }

  /** A call is being handled. Until `end`, a request for it that is sent again is ignored. */
  begin(inbox: string, call: string): void {
    this.#running.add(`${inbox} ${call}`);
  }

  end(inbox: string, call: string): void {
    this.#running.delete(`${inbox} ${call}`);
  }

  /** Whether a request that was sent again has been seen here. If it was answered, the answer is sent again. */
  knows(inbox: string, call: string): boolean {
    return this.#running.has(`${inbox} ${call}`) || this.sendAgain(inbox, new Set([call])) > 0;
  }

  /** Sends those of the calls' answers that are remembered; returns how many. */
  sendAgain(inbox: string, calls: ReadonlySet<string>): number {
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

  /** Notifies callers that requests to this broker may have been lost. */
  notifyGap(): void {
    if (this.#next === 0) return; // never answered, so nobody calls this broker
    this.#gapChannel.notify('gap', this.#inbox.address.name).catch((error: unknown) => {
      this.#report('callers could not be told to ask again', error);
    });
  }

  /** A copy: the bytes may be overwritten before it is sent. */
  #frame(at: number): Buffer {
    return Buffer.from((this.#frames as Buffer).subarray(this.#starts[at], this.#ends[at]));
  }

  /** The next frame goes to the front of the buffer; answers from there to the end are forgotten. */
  #beginAgain(): void {
    while (this.#isUsed(this.#free, MAX_BYTES)) this.#oldest++;
    this.#free = 0;
  }

  /** Whether the oldest answer begins in these bytes. */
  #isUsed(start: number, end: number): boolean {
    if (this.#oldest === this.#next) return false;
    const at = this.#starts[this.#oldest % CAPACITY] as number;
    return at >= start && at < end;
  }
}
