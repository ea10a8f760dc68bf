import { AsyncLocalStorage } from 'node:async_hooks';
import { beforeEach, expect, it, vi } from 'vitest';
import type * as Parent from '../../src/rpc/parent.ts';

const parent = (deadline: number) => ({ correlationId: 'c', deadline });

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const fail = (): never => {
  throw new Error('no promise either');
};

/** A fresh copy of the module: it remembers whether a handler has ever returned a promise. */
async function load(): Promise<typeof Parent> {
  vi.resetModules();
  return import('../../src/rpc/parent.ts');
}

const disable = vi.spyOn(AsyncLocalStorage.prototype, 'disable');
beforeEach(() => void disable.mockClear());

it('reaches past an await, whether or not the function was known to return a promise', async () => {
  const { parentMessage, runWithParent } = await load();
  const invoke = async (): Promise<number | undefined> => {
    await later();
    return parentMessage()?.deadline;
  };
  expect(await runWithParent(parent(1), undefined, invoke)).toBe(1);
  expect(await runWithParent(parent(2), true, invoke)).toBe(2);
  expect(parentMessage()?.deadline).toBeUndefined();
  expect(disable).not.toHaveBeenCalled();
});

it('stops using AsyncLocalStorage, which slows down every await, while no function returned a promise', async () => {
  const { parentMessage, runWithParent } = await load();
  const deadline = (): number | undefined => parentMessage()?.deadline;
  expect(runWithParent(parent(1), undefined, deadline)).toBe(1);
  expect(disable).toHaveBeenCalledTimes(1);
  expect(() => runWithParent(parent(1), undefined, fail)).toThrow('no promise either');
  expect(disable).toHaveBeenCalledTimes(2);
  expect(runWithParent(parent(1), false, deadline)).toBe(1);
  expect(disable).toHaveBeenCalledTimes(2);
});

it('goes on using AsyncLocalStorage once a function has returned a promise', async () => {
  const { parentMessage, runWithParent } = await load();
  const deadline = (): number | undefined => parentMessage()?.deadline;
  const pending = runWithParent(parent(1), undefined, async () => {
    await later();
    return parentMessage()?.deadline;
  });
  expect(runWithParent(parent(2), undefined, deadline)).toBe(2);
  expect(disable).not.toHaveBeenCalled();
  expect(await pending).toBe(1);
});

it('is not lost where another function without a promise runs inside', async () => {
  const { parentMessage, runWithParent } = await load();
  const deadline = (): number | undefined => parentMessage()?.deadline;
  const outer = runWithParent(parent(1), undefined, async () => {
    expect(runWithParent(parent(2), undefined, deadline)).toBe(2);
    await later();
    return parentMessage()?.deadline;
  });
  expect(await outer).toBe(1);
});
