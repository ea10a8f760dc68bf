import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { clearTimer, passTime, setTimer, watchTime } from '../../src/internal/clock.ts';
import { pause } from '../../src/internal/deferred.ts';
import { offAbort, onAbort } from '../../src/internal/signals.ts';

const MAX = 2 ** 31 - 1;
const MONTH = 30 * 24 * 3_600_000;

describe('a timer', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each([MAX - 1, MAX, MAX + 1, MONTH, 3 * MAX + 7.5, 2 * MAX])(
    'of %d ms ends then, and no sooner',
    (delay) => {
      let ended = 0;
      setTimer(() => ended++, delay);
      vi.advanceTimersByTime(delay - 10);
      expect(ended).toBe(0);
      vi.advanceTimersByTime(20);
      expect(ended).toBe(1);
      vi.advanceTimersByTime(4 * MAX);
      expect(ended).toBe(1);
    },
  );

  it('of Infinity never ends, and can be cancelled', () => {
    let ended = 0;
    const timer = setTimer(() => ended++, Infinity);
    vi.advanceTimersByTime(5 * MAX);
    expect(ended).toBe(0);
    clearTimer(timer);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('of a month can be cancelled in its second stretch', () => {
    let ended = 0;
    const timer = setTimer(() => ended++, MONTH);
    vi.advanceTimersByTime(MAX);
    clearTimer(timer);
    vi.advanceTimersByTime(MONTH);
    expect(ended).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('a test that moves time forward ends timers of a month, too', async () => {
  const restore = watchTime();
  try {
    let ended = 0;
    setTimer(() => ended++, MONTH);
    await passTime(MONTH - 1_000, async () => {});
    expect(ended).toBe(0);
    await passTime(1_000, async () => {});
    expect(ended).toBe(1);
  } finally {
    restore();
  }
});

describe('one signal that many wait for', () => {
  it('has one listener, and none when nobody waits any more', () => {
    const controller = new AbortController();
    const { signal } = controller;
    const ran: number[] = [];
    const tasks = Array.from({ length: 50 }, (_, i) => (): void => void ran.push(i));
    for (const task of tasks) onAbort(signal, task);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const task of tasks.slice(0, 25)) offAbort(signal, task);
    offAbort(signal, () => {});
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort();
    expect(ran).toEqual(Array.from({ length: 25 }, (_, i) => 25 + i));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('is left when the last has gone, and can be waited for again', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    await Promise.all(Array.from({ length: 20 }, () => pause(1, signal)));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    const waiting = pause(60_000, signal);
    controller.abort();
    await waiting;
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
