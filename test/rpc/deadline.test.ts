import { AsyncLocalStorage } from 'node:async_hooks';
import { beforeEach, expect, it, vi } from 'vitest';
import type * as Deadline from '../../src/rpc/deadline.ts';

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const fail = (): never => {
  throw new Error('no promise either');
};

/** A fresh copy of the module: it remembers whether a handler has ever returned a promise. */
async function load(): Promise<typeof Deadline> {
  vi.resetModules();
  return import('../../src/rpc/deadline.ts');
}

const disable = vi.spyOn(AsyncLocalStorage.prototype, 'disable');
beforeEach(() => void disable.mockClear());

it('reaches past an await, whether or not the function was known to return a promise', async () => {
  const { inheritedDeadline, runWithDeadline } = await load();
  const invoke = async (): Promise<number | undefined> => {
    await later();
    return inheritedDeadline();
  };
  expect(await runWithDeadline({ deadline: 1 }, undefined, invoke)).toBe(1);
  expect(await runWithDeadline({ deadline: 2 }, true, invoke)).toBe(2);
  expect(inheritedDeadline()).toBeUndefined();
  expect(disable).not.toHaveBeenCalled();
});

it('stops using AsyncLocalStorage, which slows down every await, while no function returned a promise', async () => {
  const { inheritedDeadline, runWithDeadline } = await load();
  expect(runWithDeadline({ deadline: 1 }, undefined, inheritedDeadline)).toBe(1);
  expect(disable).toHaveBeenCalledTimes(1);
  expect(() => runWithDeadline({ deadline: 1 }, undefined, fail)).toThrow('no promise either');
  expect(disable).toHaveBeenCalledTimes(2);
  expect(runWithDeadline({ deadline: 1 }, false, inheritedDeadline)).toBe(1);
  expect(disable).toHaveBeenCalledTimes(2);
});

it('goes on using AsyncLocalStorage once a function has returned a promise', async () => {
  const { inheritedDeadline, runWithDeadline } = await load();
  const pending = runWithDeadline({ deadline: 1 }, undefined, async () => {
    await later();
    return inheritedDeadline();
  });
  expect(runWithDeadline({ deadline: 2 }, undefined, inheritedDeadline)).toBe(2);
  expect(disable).not.toHaveBeenCalled();
  expect(await pending).toBe(1);
});

it('is not lost where another function without a promise runs inside', async () => {
  const { inheritedDeadline, runWithDeadline } = await load();
  const outer = runWithDeadline({ deadline: 1 }, undefined, async () => {
    expect(runWithDeadline({ deadline: 2 }, undefined, inheritedDeadline)).toBe(2);
    await later();
    return inheritedDeadline();
  });
  expect(await outer).toBe(1);
});
