import { clearTimer, setDeadline, setTimer } from './clock.ts';
import { offAbort, onAbort } from './signals.ts';

/** A promise, and the functions that settle it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimer(timer);
      if (signal !== undefined) offAbort(signal, done);
      resolve();
    };
    const timer = setTimer(done, ms);
    if (signal !== undefined) onAbort(signal, done);
  });
}

/**
 * Resolves with true when `promise` settles within `ms`, else with false. A rejection counts as
 * settled; the caller must handle it elsewhere.
 */
export function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setDeadline(() => resolve(false), ms);
    const done = (): void => {
      clearTimer(timer);
      resolve(true);
    };
    promise.then(done, done);
  });
}

/** In so many steps {@link settledWhileAwake} waits. */
const STEPS = 10;

/**
 * The same for what needs several answers in turn: time in which this process was busy, and read none of them, does not
 * count. Resolves with the milliseconds that were waited, or with undefined when `ms` are over.
 */
export async function settledWhileAwake(
  promise: Promise<unknown>,
  ms: number,
): Promise<number | undefined> {
  for (let step = 0; step < STEPS; step++)
    if (await settledWithin(promise, ms / STEPS)) return (step * ms) / STEPS;
  return undefined;
}
