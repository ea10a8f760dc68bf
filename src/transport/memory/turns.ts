import { unixTime } from '../../internal/clock.ts';
import type { Target } from '../address.ts';
import { SET_BACK, TURN_LEASE, type Turn } from '../timed.ts';
import { Expiring } from './marks.ts';

interface Series {
  readonly last: number;
  /** Until when a process has to send the next turn. */
  readonly claim: number;
}

/** What a server knows of repeated messages. */
export class MemoryTurns {
  readonly #series = new Expiring<Series | 'removed'>();

  take(to: Target, { id, time, life }: Turn): 'yours' | 'removed' | number {
    const key = keyOf(to, id);
    const known = this.#series.get(key);
    if (known === 'removed') return 'removed';
    const now = unixTime();
    if (time > now) return time - now;
    // Not known, or its last turn is in the future: the clock was set back.
    if (known === undefined || known.last - now > SET_BACK) {
      this.#series.set(key, { last: time, claim: 0 }, life);
      return 0;
    }
    const { last, claim } = known;
    if (time <= last) return 0;
    if (claim > now && claim - now <= TURN_LEASE) return claim - now;
    this.#series.set(key, { last, claim: now + TURN_LEASE }, life);
    return 'yours';
  }

  /** Calls `send` unless the turn was sent before. */
  send(to: Target, { id, time, life }: Turn, send: () => unknown): boolean {
    const key = keyOf(to, id);
    const known = this.#series.get(key);
    if (known === 'removed' || (known !== undefined && known.last >= time)) return false;
    send();
    this.#series.set(key, { last: time, claim: 0 }, life);
    return true;
  }

  mark(to: Target, id: string, mark: 'begin' | 'remove'): void {
    const key = keyOf(to, id);
    if (mark === 'remove') this.#series.set(key, 'removed', Infinity);
    else if (this.#series.get(key) === 'removed') this.#series.delete(key);
  }
}

function keyOf({ kind, name, sharded }: Target, id: string): string {
  return `${sharded === true ? 'sharded' : kind} ${name} ${id}`;
}
