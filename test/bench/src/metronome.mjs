// The beat that calls are started by. A thread of its own gives it, so that a loop which is busy does not slow it down.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

/** Milliseconds between two beats. */
export const BEAT = 0.25;

/** What the two threads share: is it running, and is a beat on its way that nobody has taken yet? */
const [RUNNING, PENDING] = [0, 1];

/** Milliseconds on a clock that all threads share. */
export const clock = () => Number(process.hrtime.bigint()) / 1e6;

/** Moments of beats are whole multiples of `BEAT` on the clock. */
export const nextBeat = (now) => Math.ceil(now / BEAT) * BEAT;

export class Metronome {
  #flags = new Int32Array(new SharedArrayBuffer(8));
  #listener = () => undefined;

  static async open() {
    const metronome = new Metronome();
    const thread = new Worker(new URL(import.meta.url), { workerData: metronome.#flags });
    await new Promise((resolve, reject) => {
      thread.once('online', resolve);
      thread.once('error', reject);
    });
    thread.on('message', () => {
      Atomics.store(metronome.#flags, PENDING, 0);
      metronome.#listener();
    });
    thread.unref();
    return metronome;
  }

  /** Calls `listener` at each beat, or later and once for several of them where the loop is busy. */
  start(listener) {
    this.#listener = listener;
    Atomics.store(this.#flags, RUNNING, 1);
    Atomics.notify(this.#flags, RUNNING);
  }

  stop() {
    Atomics.store(this.#flags, RUNNING, 0);
    this.#listener = () => undefined;
  }
}

if (!isMainThread) {
  const flags = workerData;
  for (;;) {
    Atomics.wait(flags, RUNNING, 0);
    const now = clock();
    // Nobody notifies while it runs, so this is a sleep.
    Atomics.wait(flags, RUNNING, 1, nextBeat(now + BEAT / 10) - now);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has none
    if (Atomics.compareExchange(flags, PENDING, 0, 1) === 0) parentPort.postMessage(0);
  }
}
