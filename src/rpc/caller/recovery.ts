import { clearTimer, monotonicTime, setTimer } from '../../internal/clock.ts';
import { AGAIN } from '../../message/headers.ts';
import type { Report } from '../../transport/source.ts';
import type { Transport } from '../../transport/transport.ts';
import type { GapChannel } from '../gap-channel.ts';
import { keptAnswersKey, type Inbox } from '../inbox.ts';
import type { Calls } from './calls.ts';
import type { CallTable, PendingCall } from './call-table.ts';

/** Milliseconds in which the words of several responders are taken for one: those of one outage come together. */
const TOGETHER = 100;

/**
 * The shortest time in milliseconds between two repeats of one request, doubled with each repeat.
 * Whoever may publish to the gap channel makes callers repeat: so often, and not once for each word.
 */
const REPEAT = 1_000;

/** Requests that are sent again at once, and ids that one question for answers holds. */
const CHUNK = 512;

/** Recovers the answers and requests that a lost connection, ours or a responder's, may have taken along. */
export class Recovery {
  readonly #transport: Transport;
  readonly #table: CallTable;
  readonly #calls: Calls;
  readonly #inbox: Inbox;
  readonly #gapChannel: GapChannel;
  readonly #report: Report;
  /** When requests were last said to be lost, in monotonic milliseconds. */
  #gapAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = 0;
  #isSending = false;
  #isCollecting = false;
  /** More may have been kept since the collection that runs was begun. */
  #collectsAgain = false;

  constructor(
    transport: Transport,
    table: CallTable,
    calls: Calls,
    inbox: Inbox,
    gapChannel: GapChannel,
    report: Report,
  ) {
    this.#transport = transport;
    this.#table = table;
    this.#calls = calls;
    this.#inbox = inbox;
    this.#gapChannel = gapChannel;
    this.#report = report;
  }

  /** A responder kept an answer that it could not deliver. */
  kept(): void {
    void this.#attempt(() => this.#collect());
  }

  /** Our inbox stands again after a reconnect. */
  restored(): void {
    void this.#attempt(async () => {
      for (const call of this.#table.all()) call.interrupted();
      await this.#collect();
      await this.#askFor(this.#table.pending());
      await this.#askForKept();
      this.gap();
    });
  }

  /** Subscriptions were interrupted, a responder's or ours: requests may be lost, and questions for answers. */
  gap(): void {
    if (this.#table.size === 0) return;
    this.#gapAt = monotonicTime();
    this.#repeatIn(TOGETHER);
  }

  close(): void {
    clearTimer(this.#timer);
  }

  async #attempt(recover: () => Promise<void>): Promise<void> {
    if (this.#table.isClosed || this.#table.size === 0) return;
    try {
      await recover();
    } catch (error) {
      if (!this.#table.isClosed)
        this.#report('answers could not be recovered after a reconnect', error);
    }
  }

  /** Takes the answers that were kept under a key while the inbox could not be reached. One at a time: words of it are cheap. */
  async #collect(): Promise<void> {
    this.#collectsAgain = this.#isCollecting;
    if (this.#isCollecting) return;
    this.#isCollecting = true;
    try {
      do {
        this.#collectsAgain = false;
        const frames = await this.#transport.collect(keptAnswersKey(this.#inbox.address.name));
        for (const frame of frames) this.#inbox.receive(frame);
      } while (this.#collectsAgain);
    } finally {
      this.#isCollecting = false;
    }
  }

  /** Asks all responders to send their answers to these calls again. */
  async #askFor(calls: readonly PendingCall[]): Promise<void> {
    for (let next = 0; next < calls.length; next += CHUNK) {
      const some = calls.slice(next, next + CHUNK).map(({ command }) => command.call);
      await this.#gapChannel.notify('lost', this.#inbox.address.name, some.join(' '));
    }
  }

  /** Asks the server for the answers of the calls with an id: these are kept under the id. */
  async #askForKept(): Promise<void> {
    const calls = this.#table.pending().filter(({ command }) => command.extras?.id !== undefined);
    for (let next = 0; next < calls.length; next += CHUNK)
      await Promise.all(calls.slice(next, next + CHUNK).map((call) => this.#calls.ask(call)));
  }

  /** Sends again in `delay` milliseconds, or sooner where that was said before. */
  #repeatIn(delay: number): void {
    const at = monotonicTime() + delay;
    if (this.#table.isClosed || (this.#timer !== undefined && this.#timerAt <= at)) return;
    clearTimer(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimer(() => {
      this.#timer = undefined;
      void this.#attempt(() => this.#sendAgain());
    }, delay);
    this.#timer.unref();
  }

  /**
   * Sends the requests to channels again that may be lost; a responder that has seen one handles it
   * once, and sends its answer again. Requests to lists and streams wait there: for these, only the
   * answers are asked for.
   */
  async #sendAgain(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    const now = monotonicTime();
    let wait = Infinity;
    const requests: PendingCall[] = [];
    const answers: PendingCall[] = [];
    for (const call of this.#table.pending()) {
      const { repeats, repeatedAt, expiresAt, timeout } = call;
      if (call.receivers === undefined) continue;
      // Sent after the gap: not lost in it.
      if ((repeats > 0 ? repeatedAt : expiresAt - timeout) > this.#gapAt) continue;
      const left = repeats === 0 ? 0 : repeatedAt + REPEAT * 2 ** (repeats - 1) - now;
      if (left > 0) {
        wait = Math.min(wait, left);
        continue;
      }
      call.repeats++;
      call.repeatedAt = now;
      (call.command.to.kind === 'channel' ? requests : answers).push(call);
    }
    try {
      await this.#askFor(answers);
      for (let next = 0; next < requests.length; next += CHUNK) {
        await Promise.all(requests.slice(next, next + CHUNK).map((call) => this.#repeat(call)));
      }
    } finally {
      this.#isSending = false;
      if (this.#gapAt > now) wait = Math.min(wait, TOGETHER);
      if (wait < Infinity) this.#repeatIn(wait);
    }
  }

  async #repeat(call: PendingCall): Promise<void> {
    if (!this.#table.has(call) || call.isAnswered) return;
    await this.#transport.send(call.command.to, this.#calls.frame(call, { [AGAIN]: '1' }));
  }
}
