import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as fc from 'fast-check';
import { Deadlines, type Expiring } from '../../src/internal/deadlines.ts';

interface Item extends Expiring {
  readonly name: string;
}

function item(name: string, timeout: number): Item {
  return { name, timeout, expiresAt: 0, queue: undefined, previous: undefined, next: undefined };
}

describe('deadlines', () => {
  let expired: string[];
  let deadlines: Deadlines<Item>;

  beforeEach(() => {
    vi.useFakeTimers();
    // Sockets are read at once.
    vi.spyOn(globalThis, 'setImmediate').mockImplementation(((read: () => void) =>
      read()) as never);
    expired = [];
    deadlines = new Deadlines((late) => expired.push(late.name));
  });

  afterEach(() => {
    deadlines.clear();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  function add(name: string, timeout: number): Item {
    const added = item(name, timeout);
    deadlines.add(added);
    return added;
  }

  it('expire at their time and not before', () => {
    add('a', 100);
    vi.advanceTimersByTime(99);
    expect(expired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(expired).toEqual(['a']);
  });

  it('expire once', () => {
    add('a', 100);
    vi.advanceTimersByTime(1_000);
    expect(expired).toEqual(['a']);
  });

  it('expire in order, of one duration and of several', () => {
    add('second', 200);
    add('first', 100);
    vi.advanceTimersByTime(50);
    add('third', 200);
    add('fourth', 200);
    vi.advanceTimersByTime(150);
    expect(expired).toEqual(['first', 'second']);
    vi.advanceTimersByTime(50);
    expect(expired).toEqual(['first', 'second', 'third', 'fourth']);
  });

  it('share one timer where they have one duration', () => {
    for (let i = 0; i < 1_000; i++) add(`${i}`, 100);
    expect(vi.getTimerCount()).toBe(1);
    add('other', 200);
    expect(vi.getTimerCount()).toBe(2);
  });

  it.each(['first', 'middle', 'last'])('do not expire once removed: the %s of three', (which) => {
    const items = ['first', 'middle', 'last'].map((name) => add(name, 100));
    deadlines.remove(items.find(({ name }) => name === which) as Item);
    vi.advanceTimersByTime(100);
    expect(expired).toEqual(['first', 'middle', 'last'].filter((name) => name !== which));
  });

  it('may be removed twice, after they expired, and without having been added', () => {
    const [a, b, c] = [add('a', 100), add('b', 100), add('c', 100)];
    deadlines.remove(b);
    deadlines.remove(b);
    deadlines.remove(item('never added', 100));
    deadlines.remove(item('never added', 999));
    vi.advanceTimersByTime(100);
    deadlines.remove(a);
    deadlines.remove(c);
    add('d', 100);
    deadlines.remove(a);
    vi.advanceTimersByTime(100);
    expect(expired).toEqual(['a', 'c', 'd']);
  });

  it('keep no timer once everything has expired or was removed', () => {
    add('a', 100);
    deadlines.remove(add('b', 200));
    vi.advanceTimersByTime(200);
    expect(expired).toEqual(['a']);
    expect(deadlines.timers).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('come back to life after an idle time', () => {
    deadlines.remove(add('a', 100));
    vi.advanceTimersByTime(60);
    add('b', 100);
    vi.advanceTimersByTime(99);
    expect(expired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(expired).toEqual(['b']);
  });

  it('may be added and removed while others expire', () => {
    const victim = item('victim', 100);
    deadlines = new Deadlines((late) => {
      expired.push(late.name);
      if (late.name !== 'a') return;
      deadlines.remove(victim);
      deadlines.add(item('c', 100));
    });
    deadlines.add(item('a', 100));
    deadlines.add(victim);
    deadlines.add(item('b', 100));
    vi.advanceTimersByTime(100);
    expect(expired).toEqual(['a', 'b']);
    vi.advanceTimersByTime(100);
    expect(expired).toEqual(['a', 'b', 'c']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('may be longer than a timer of Node can be', () => {
    const arm = vi.spyOn(globalThis, 'setTimeout');
    const long = 2 ** 31 + 5_000;
    add('long', long);
    vi.advanceTimersByTime(10_000);
    expect(expired).toEqual([]);
    vi.advanceTimersByTime(long - 10_001);
    expect(expired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(expired).toEqual(['long']);
    // Node turns a delay that is too long into 1 ms: armed so, it would fire two billion times.
    expect(arm.mock.calls.length).toBeLessThan(5);
    for (const [, delay] of arm.mock.calls) expect(delay).toBeLessThan(2 ** 31);
  });

  it('of no time at all expire in a later tick', () => {
    add('now', 0);
    expect(expired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(expired).toEqual(['now']);
  });

  it('are forgotten when cleared', () => {
    add('a', 100);
    add('b', 200);
    deadlines.clear();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(expired).toEqual([]);
  });

  it('that were cleared may still be removed, and harm no later ones', () => {
    const [first, second] = [add('a', 100), add('b', 100)];
    deadlines.clear();
    add('c', 100);
    deadlines.remove(second);
    deadlines.remove(first);
    add('d', 100);
    vi.advanceTimersByTime(100);
    expect(expired).toEqual(['c', 'd']);
  });

  it('behave as one timer each would, whatever is done', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('add'), n: fc.constantFrom(1, 5, 10, 25) }),
      fc.record({ do: fc.constant('remove'), n: fc.nat(20) }),
      fc.record({ do: fc.constant('wait'), n: fc.nat(12) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        deadlines.clear();
        expired = [];
        const model = new Map<string, number>();
        const expected: string[] = [];
        const items: Item[] = [];
        let now = 0;
        for (const { do: what, n } of steps) {
          if (what === 'add') {
            model.set(`${items.length}`, now + n);
            items.push(add(`${items.length}`, n));
          } else if (what === 'remove') {
            const chosen = items[n];
            if (chosen === undefined) continue;
            deadlines.remove(chosen);
            model.delete(chosen.name);
          } else {
            now += n;
            vi.advanceTimersByTime(n);
            for (const [name, at] of model) {
              if (at > now) continue;
              expected.push(name);
              model.delete(name);
            }
          }
        }
        expect([...expired].sort()).toEqual(expected.sort());
      }),
      { numRuns: 300 },
    );
  });
});

describe('a deadline that was removed', () => {
  it('does not keep the process alive', () => {
    const deadlines = new Deadlines<Item>(() => {});
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const waiting = item('a', 60_000);
    deadlines.add(waiting);
    const active = (): number =>
      process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length - before;
    expect(active()).toBe(1);
    deadlines.remove(waiting);
    expect(active()).toBe(0);
    const next = item('b', 60_000);
    deadlines.add(next);
    expect(active()).toBe(1);
    deadlines.clear();
    expect(active()).toBe(0);
  });
});
