import { clearTimer, setTimer, unixTime } from '../../internal/clock.ts';
import { describe, type Target } from '../address.ts';
import type { DelayedFrame, Later } from '../timed.ts';

interface Waiting extends DelayedFrame {
  readonly to: Target;
}

/** Hears of frames that could not be sent. */
export type Refused = (problem: string, error: unknown) => void;

/** What a server would hold of frames that are not due yet. Unlike a server it sends them by itself. */
export class MemoryDelayed {
  /** Called for each frame that could not be sent. */
  readonly refused = new Set<Refused>();
  readonly #send: (to: Target, frame: Buffer, handle: string) => void;
  /** Milliseconds that a refused frame is put off. */
  readonly #pause: number;
  /** By store and handle. */
  readonly #frames = new Map<string, Map<string, Waiting>>();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer ends. */
  #soonest = Infinity;

  constructor(send: (to: Target, frame: Buffer, handle: string) => void, pause: number) {
    this.#send = send;
    this.#pause = pause;
  }

  keep(to: Target, frame: Buffer, { handle, delay, at = 0 }: Later): string {
    const due = delay === undefined ? at : unixTime() + delay;
    const store = storeOf(to);
    const frames = this.#frames.get(store) ?? new Map<string, Waiting>();
    const waiting = { handle, due: Math.ceil(due), frame, to };
    this.#frames.set(store, frames.set(handle, waiting));
    this.#armFor(waiting.due);
    return handle;
  }

  cancel(to: Target, handle: string): boolean {
    return this.#frames.get(storeOf(to))?.delete(handle) === true;
  }

  list(to: Target, skip: number, max: number): DelayedFrame[] {
    const frames = [...(this.#frames.get(storeOf(to))?.values() ?? [])];
    return frames.toSorted((a, b) => a.due - b.due).slice(skip, skip + max);
  }

  close(): void {
    clearTimer(this.#timer);
    this.#frames.clear();
  }

  #armFor(due: number): void {
    if (due >= this.#soonest) return;
    this.#soonest = due;
    clearTimer(this.#timer);
    this.#timer = setTimer(() => this.#sendDue(), Math.max(0, due - unixTime()));
  }

  #sendDue(): void {
    this.#soonest = Infinity;
    const now = unixTime();
    const due: Waiting[] = [];
    for (const frames of this.#frames.values())
      for (const waiting of frames.values()) if (waiting.due <= now) due.push(waiting);
    for (const waiting of due.toSorted((a, b) => a.due - b.due)) this.#sendOne(waiting, now);
    let next = Infinity;
    for (const frames of this.#frames.values())
      for (const waiting of frames.values()) next = Math.min(next, waiting.due);
    this.#armFor(next);
  }

  #sendOne(waiting: Waiting, now: number): void {
    const { to, handle, frame } = waiting;
    const store = storeOf(to);
    const frames = this.#frames.get(store);
    try {
      this.#send(to, frame, handle);
      frames?.delete(handle);
      if (frames?.size === 0) this.#frames.delete(store);
    } catch (error) {
      frames?.set(handle, { ...waiting, due: now + this.#pause });
      for (const refused of this.refused) {
        refused(
          `delayed messages for ${describe(to)} are refused, they are tried again every ${this.#pause / 1_000} s`,
          error,
        );
        break; // one of the brokers says so, as the one that moves it on a server
      }
    }
  }
}

function storeOf({ kind, name, sharded }: Target): string {
  return `${sharded === true ? 'sharded' : kind}:${name}`;
}
