import type { Report, Transport } from '../transport/transport.ts';
import type { Inbox } from './inbox.ts';
import type { Recovery } from './recovery.ts';

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
  /** Rings: an answer's inbox, call and frame stand at the same place. */
  readonly #inboxes: string[] = [];
  readonly #calls: string[] = [];
  readonly #frames: (Uint8Array | undefined)[] = [];
  readonly #running = new Set<string>();
  #next = 0;
  #oldest = 0;
  #bytes = 0;

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
    const at = this.#next % CAPACITY;
    if (this.#next - this.#oldest === CAPACITY) this.#forgetOldest();
    this.#next++;
    this.#inboxes[at] = inbox;
    this.#calls[at] = call;
    this.#frames[at] = frame;
    this.#bytes += frame.length;
    while (this.#bytes > MAX_BYTES) this.#forgetOldest();
  }

  /** The answer to a call, if it is remembered. */
  find(inbox: string, call: string): Uint8Array | undefined {
    // Most likely it was among the last.
    for (let i = this.#next - 1; i >= this.#oldest; i--) {
      const at = i % CAPACITY;
      if (this.#calls[at] === call && this.#inboxes[at] === inbox) return this.#frames[at];
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
      const frame = this.#frames[at];
      if (this.#inboxes[at] !== inbox || frame === undefined) continue;
      if (!calls.has(this.#calls[at] as string)) continue;
      found++;
      this.#transport.send({ kind: 'channel', name: inbox }, frame).catch((error: unknown) => {
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

  #forgetOldest(): void {
    const at = this.#oldest++ % CAPACITY;
    this.#bytes -= this.#frames[at]?.length ?? 0;
    this.#frames[at] = undefined;
  }
}
