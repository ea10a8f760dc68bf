import { monotonicTime } from '../internal/clock.ts';
import { Feed } from './feed.ts';
import type { Lanes } from './lanes.ts';
import type { Backlog, Delivery, IsFull, Report, Source } from './source.ts';

/**
 * How many messages, and bytes, may wait for a channel subscriber that is busy. Redis disconnects slow
 * subscribers, so messages are read at once and wait here; those beyond are dropped, counted and
 * reported once until the subscriber has caught up.
 */
const CAPACITY = 65_536;
const MAX_BYTES = 64 * 2 ** 20;

/** A source that is pushed to: channels, which Redis delivers without being asked. */
export class PushSource implements Source {
  readonly canReturn = false;
  readonly needsAck = false;
  /** Messages that were dropped because there was no room. */
  dropped = 0;
  #bytes = 0;
  #stopped = false;
  #overflowing = false;
  #droppedAt = -Infinity;
  readonly #feed: Feed;
  readonly #report: Report;
  readonly #unsubscribe: () => Promise<void>;
  readonly #problem: () => string | undefined;

  /** `problem` returns why nothing can arrive at the moment, if so. */
  constructor(
    report: Report,
    unsubscribe: () => Promise<void>,
    problem: () => string | undefined = () => undefined,
    lanes?: Lanes,
  ) {
    const onTaken = (taken: readonly Delivery[]): void => this.#makeRoom(taken);
    this.#feed = new Feed({ onTaken, lanes, keepsAll: true });

    this.#report = report;
    this.#unsubscribe = unsubscribe;
    this.#problem = problem;
  }

  get problem(): string | undefined {
    return this.#problem();
  }

  get backlog(): Backlog {
    return {
      waiting: this.#feed.waiting,
      dropped: this.dropped,
      droppedAgo: monotonicTime() - this.#droppedAt,
    };
  }

  /** The subscription is over: `read` throws `error` once everything that has arrived is read. */
  fail(error: unknown): void {
    if (!this.#stopped) this.#feed.end({ error });
  }

  push(frame: Buffer, name: string): void {
    if (this.#stopped) return;
    if (this.#feed.waiting >= CAPACITY || this.#bytes >= MAX_BYTES) {
      this.dropped++;
      this.#droppedAt = monotonicTime();
      if (this.#overflowing) return;
      this.#overflowing = true;
      this.#report(
        `the handler is ${this.#feed.waiting} messages behind, ${this.#bytes} bytes: further messages are dropped until it has caught up`,
        undefined,
      );
      return;
    }
    this.#bytes += frame.length;
    this.#feed.push({ frame, name, id: undefined, count: 1 });
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  /** What has arrived can still be read. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#feed.end();
    await this.#unsubscribe();
  }

  close(): Promise<void> {
    return this.stop();
  }

  /** Nobody else has them: they wait here again, before all others. */
  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    for (const { frame } of deliveries) this.#bytes += (frame as Buffer).length;
    this.#feed.unshift(deliveries);
  }

  // Redis does not keep a channel's messages: there is nothing to acknowledge.
  readonly held = 0;
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}

  #makeRoom(deliveries: readonly Delivery[]): void {
    if (this.#feed.waiting === 0) {
      this.#bytes = 0;
      this.#overflowing = false;
      return;
    }
    for (const { frame } of deliveries) this.#bytes -= (frame as Buffer).length;
  }
}
