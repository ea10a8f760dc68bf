import { fork, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backoff } from '../internal/backoff.ts';
import { deferred } from '../internal/deferred.ts';
import { Timers } from '../internal/timers.ts';
import type { ModuleTarget } from './app-module.ts';
import { changes } from './changes.ts';
import { EXIT } from './failure.ts';
import { note } from './output.ts';
import type { WorkerMessage } from './worker.ts';

/** Milliseconds that a worker has to live for its death to count as the first one. */
const HEALTHY = 10_000;
/** Milliseconds before a dead worker is started again: at least, and at most. */
const PAUSE = { least: 250, most: 10_000 };

/** The place of one worker; processes come and go. */
interface Place {
  readonly index: number;
  child: ChildProcess | undefined;
  /** Deaths in a row. */
  deaths: number;
}

export interface Supervision {
  readonly target: ModuleTarget;
  readonly workers: number;
  readonly watch: boolean;
}

/** Runs workers until SIGINT or SIGTERM, and resolves with the exit code when all have ended. */
export async function supervise(supervision: Supervision): Promise<number> {
  const supervisor = new Supervisor(supervision);
  let isTold = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isTold) {
      supervisor.kill();
      process.exit(128 + constants.signals[signal]);
    }
    isTold = true;
    void supervisor.stop();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  return supervisor.run();
}

class Supervisor {
  readonly #supervision: Supervision;
  readonly #places: readonly Place[];
  readonly #restarts = new Timers();
  readonly #over = deferred<number>();
  readonly #watching = new AbortController();
  #code: number = EXIT.ok;
  #isStopping = false;
  /** There while workers are told to stop. */
  #ending: Promise<void> | undefined;

  constructor(supervision: Supervision) {
    this.#supervision = supervision;
    const indices = Array.from({ length: supervision.workers }, (_, index) => index);
    this.#places = indices.map((index) => ({ index, child: undefined, deaths: 0 }));
  }

  run(): Promise<number> {
    for (const place of this.#places) this.#start(place);
    if (this.#supervision.watch) this.#watch().catch((error: unknown) => this.#over.reject(error));
    return this.#over.promise;
  }

  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#watching.abort();
    this.#restarts.clear();
    await this.#endAll();
    this.#over.resolve(this.#code);
  }

  /** Without waiting for anything. */
  kill(): void {
    for (const { child } of this.#places) child?.kill('SIGKILL');
  }

  #start(place: Place): void {
    const { file, exportName } = this.#supervision.target;
    const child = fork(
      fileURLToPath(new URL('./worker.js', import.meta.url)),
      [`${file}:${exportName}`],
      {
        env: { ...process.env, REDSTART_WORKER: String(place.index) },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      },
    );
    place.child = child;
    const began = performance.now();
    child.on('message', (message: WorkerMessage) => {
      if (message === 'ready') note(`worker ${place.index} runs, process ${child.pid}`);
      else if (!this.#supervision.watch) this.#giveUp();
    });
    child.once('error', (error) => note(`worker ${place.index}: ${error.message}`));
    // Not `exit`: what it said last may still be on its way then.
    child.once('close', (code, signal) => {
      place.child = undefined;
      this.#onEnd(place, code, signal, performance.now() - began);
    });
  }

  #onEnd(place: Place, code: number | null, signal: string | null, lived: number): void {
    if (this.#isStopping) {
      // A signal that was passed on, and not handled because the worker was still loading, is no failure.
      if (code !== 0 && signal !== 'SIGTERM') this.#code = Math.max(this.#code, EXIT.failed);
      return;
    }
    if (this.#ending !== undefined) return;
    const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
    if (this.#supervision.watch) {
      note(`worker ${place.index} ${how}; it starts again when a file changes`);
      return;
    }
    place.deaths = lived > HEALTHY ? 1 : place.deaths + 1;
    const wait = Math.round(backoff(place.deaths, PAUSE.least, PAUSE.most));
    note(`worker ${place.index} ${how}; it starts again in ${wait} ms`);
    this.#restarts.after(wait, () => this.#start(place));
  }

  /** What a worker cannot run none can, and trying again does not help. */
  #giveUp(): void {
    this.#code = EXIT.usage;
    void this.stop();
  }

  /** Tells all workers to stop, once, since a second time would not be graceful, and waits for them. */
  #endAll(): Promise<void> {
    if (this.#ending !== undefined) return this.#ending;
    const ends = this.#places.flatMap(({ child }) => {
      if (child === undefined) return [];
      const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
      child.kill('SIGTERM');
      return [ended];
    });
    return (this.#ending = Promise.all(ends).then(() => {
      this.#ending = undefined;
    }));
  }

  async #watch(): Promise<void> {
    const folder = dirname(this.#supervision.target.path);
    note(`watching ${folder}`);
    for await (const changed of changes(folder, this.#watching.signal)) {
      note(`${relative(folder, changed)} has changed`);
      await this.#endAll();
      if (this.#isStopping) return;
      for (const place of this.#places) this.#start(place);
    }
  }
}
