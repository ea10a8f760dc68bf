import { clearTimer, setTimer } from '../../internal/clock.ts';
import type { Target } from '../address.ts';
import { idConflict, type Once } from '../marks.ts';

interface Kept<T> {
  readonly value: T;
  readonly timer: NodeJS.Timeout;
}

/** Values under keys, each for a time of its own. */
export class Expiring<T> {
  readonly #kept = new Map<string, Kept<T>>();

  get(key: string): T | undefined {
    return this.#kept.get(key)?.value;
  }

  set(key: string, value: T, life: number): void {
    this.delete(key);
    const timer = setTimer(() => this.#kept.delete(key), life).unref();
    this.#kept.set(key, { value, timer });
  }

  delete(key: string): boolean {
    clearTimer(this.#kept.get(key)?.timer);
    return this.#kept.delete(key);
  }
}

/** What a server knows of the ids of messages. */
export class MemoryMarks {
  /** Messages that were sent: the digests of their bodies, and what sending returned. */
  readonly #sent = new Expiring<{ readonly digest: string; readonly reply: string }>();

  /** Calls `send` unless the id is known. Returns the id of the entry, or the id itself for a list. */
  sendOnce(to: Target, { id, digest, window }: Once, send: () => number | string): string {
    const key = `${to.name} ${id}`;
    const before = this.#sent.get(key);
    if (before !== undefined && before.digest !== digest) throw idConflict(to, id);
    const reply = before?.reply ?? String(send());
    if (before === undefined) this.#sent.set(key, { digest, reply }, window);
    return to.kind === 'list' ? id : reply;
  }
}
