import { monotonicTime } from '../internal/clock.ts';
import type { Backlog, Delivery, Report, Source } from './source.ts';

/**
 * Messages that wait for a channel subscriber that is busy. Redis does not wait for slow
 * subscribers, it cuts them off; so its source holds this many messages, of this many bytes in all, and
 * drops what comes after. It counts them, and reports it once until the subscriber has caught up.
 */
const CAPACITY = 65_536;
const MAX_BYTES = 64 * 2 ** 20;

/** A source that is pushed to: channels, which Redis delivers without being asked. */
export class PushSource implements Source {
  readonly takesBack = false;
  readonly settles = false;
  /** Messages that found it full. */
  dropped = 0;
  #waiting: Delivery[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;
  #stopped = false;
  #overflowing = false;
  #droppedAt = -Infinity;
  #failure: { readonly error: unknown } | undefined;
  readonly #report: Report;
  readonly #unsubscribe: () => Promise<void>;
  readonly #trouble: () => string | undefined;

  /** `trouble` says why nothing may be arriving, while that is so. */
  constructor(
    report: Report,
    unsubscribe: () => Promise<void>,
    trouble: () => string | undefined = () => undefined,
  ) {
    this.#report = report;
    this.#unsubscribe = unsubscribe;
    this.#trouble = trouble;
  }

  get trouble(): string | undefined {
    return this.#trouble();
  }

  get backlog(): Backlog {
    return {
      waiting: this.#waiting.length,
      dropped: this.dropped,
      droppedAgo: monotonicTime() - this.#droppedAt,
    };
  }

  /** Nothing will arrive any more: once what has arrived is read, `read` throws. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#wake?.();
  }

  push(frame: Buffer, name: string): void {
    if (this.#stopped) return;
    if (this.#waiting.length >= CAPACITY || this.#bytes >= MAX_BYTES) {
      this.dropped++;
      this.#droppedAt = monotonicTime();
      if (this.#overflowing) return;
      this.#overflowing = true;
      this.#report(
        `the handler is ${this.#waiting.length} messages behind, ${this.#bytes} bytes: further messages are dropped until it has caught up`,
        undefined,
      );
      return;
    }
    this.#bytes += frame.length;
    this.#waiting.push({ frame, name, id: undefined, count: 1 });
    this.#wake?.();
  }

  async read(max: number): Promise<Delivery[]> {
    while (this.#waiting.length === 0 && !this.#stopped) {
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#waiting.length > max) {
      const some = this.#waiting.splice(0, max);
      for (const { frame } of some) this.#bytes -= (frame as Buffer).length;
      return some;
    }
    const all = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#overflowing = false;
    return all;
  }

  /** What has arrived is still read out. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wake?.();
    await this.#unsubscribe();
  }

  close(): Promise<void> {
    return this.stop();
  }

  // Redis forgets a channel's message as it delivers it: there is nothing to settle.
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}
}
