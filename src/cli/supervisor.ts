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
import { serveMetrics, type MetricsAddress } from './metrics-server.ts';
import { logLine } from './output.ts';
import { WorkerPages } from './worker-pages.ts';
import type { WorkerMessage } from './worker.ts';

/** Not './worker.js': the build puts what several files use, as this one, into another folder of `dist`. */
const WORKER = new URL('../cli/worker.js', import.meta.url);
/** A worker that lived this many milliseconds is restarted after the shortest pause again. */
const HEALTHY = 10_000;
/** Milliseconds before a dead worker is restarted: shortest and longest pause. */
const PAUSE = { least: 250, most: 10_000 };

/** One numbered worker; its process may be replaced. */
interface Slot {
  readonly index: number;
  child: ChildProcess | undefined;
  /** Deaths in a row, each less than {@link HEALTHY} ms after its start. */
  deaths: number;
}

export interface Supervision {
  readonly target: ModuleTarget;
  readonly workers: number;
  readonly watch: boolean;
  /** Where to serve one page of metrics of all workers. */
  readonly metrics: MetricsAddress | undefined;
}

/** Runs workers until SIGINT or SIGTERM, and resolves with the exit code when all have ended. */
export async function supervise(supervision: Supervision): Promise<number> {
  const supervisor = new Supervisor(supervision);
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) {
      supervisor.kill();
      process.exit(128 + constants.signals[signal]);
    }
    isStopping = true;
    void supervisor.stop();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  const { metrics } = supervision;
  if (metrics !== undefined) await serveMetrics(metrics, () => supervisor.page());
  return supervisor.run();
}

class Supervisor {
  readonly #supervision: Supervision;
  readonly #slots: readonly Slot[];
  readonly #pages: WorkerPages;
  readonly #restarts = new Timers();
  /** Resolves with the exit code when all workers have ended. */
  readonly #ended = deferred<number>();
  readonly #watching = new AbortController();
  #code: number = EXIT.ok;
  #isStopping = false;
  /** Set while workers are being stopped. */
  #ending: Promise<void> | undefined;

  constructor(supervision: Supervision) {
    this.#supervision = supervision;
    const indices = Array.from({ length: supervision.workers }, (_, index) => index);
    this.#pages = new WorkerPages(supervision.workers);
    this.#slots = indices.map((index) => ({ index, child: undefined, deaths: 0 }));
  }

  run(): Promise<number> {
    for (const slot of this.#slots) this.#start(slot);
    if (this.#supervision.watch) this.#watch().catch((error: unknown) => this.#ended.reject(error));
    return this.#ended.promise;
  }

  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#watching.abort();
    this.#restarts.clear();
    await this.#endAll();
    this.#ended.resolve(this.#code);
  }

  /** One page of the metrics of all workers. */
  page(): Promise<string> {
    return this.#pages.page(this.#slots.flatMap(({ child }) => child ?? []));
  }

  /** Kills all workers and does not wait for them. */
  kill(): void {
    for (const { child } of this.#slots) child?.kill('SIGKILL');
  }

  #start(slot: Slot): void {
    const { target, metrics } = this.#supervision;
    const { file, exportName } = target;
    const child = fork(
      fileURLToPath(WORKER),
      [`${file}:${exportName}`, ...(metrics === undefined ? [] : ['metrics'])],
      {
        env: { ...process.env, REDSTART_WORKER: String(slot.index) },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      },
    );
    slot.child = child;
    const began = performance.now();
    child.on('message', (message: WorkerMessage) => {
      if (typeof message === 'object') this.#pages.received(child, message);
      else if (message === 'ready') logLine(`worker ${slot.index} runs, process ${child.pid}`);
      else if (!this.#supervision.watch) this.#giveUp();
    });
    child.once('error', (error) => logLine(`worker ${slot.index}: ${error.message}`));
    // Not `exit`: the worker's last message may arrive after it.
    child.once('close', (code, signal) => {
      slot.child = undefined;
      this.#pages.ended(child);
      this.#onEnd(slot, code, signal, performance.now() - began);
    });
  }

  #onEnd(slot: Slot, code: number | null, signal: string | null, lived: number): void {
    if (this.#isStopping) {
      // Ended by our SIGTERM before it could handle the signal, because it was still loading: no failure.
      if (code !== 0 && signal !== 'SIGTERM') this.#code = Math.max(this.#code, EXIT.failed);
      return;
    }
    if (this.#ending !== undefined) return;
    const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
    if (this.#supervision.watch) {
      logLine(`worker ${slot.index} ${how}; it starts again when a file changes`);
      return;
    }
    slot.deaths = lived > HEALTHY ? 1 : slot.deaths + 1;
    const wait = Math.round(backoff(slot.deaths, PAUSE.least, PAUSE.most));
    logLine(`worker ${slot.index} ${how}; it starts again in ${wait} ms`);
    this.#restarts.after(wait, () => this.#start(slot));
  }

  /** A worker cannot load the app. Another attempt, or another worker, would fail in the same way. */
  #giveUp(): void {
    this.#code = EXIT.usage;
    void this.stop();
  }

  /** Sends SIGTERM to all workers and waits for their end. Sends it once: a second signal would end them at once. */
  #endAll(): Promise<void> {
    if (this.#ending !== undefined) return this.#ending;
    const ends = this.#slots.flatMap(({ child }) => {
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
    logLine(`watching ${folder}`);
    for await (const changed of changes(folder, this.#watching.signal)) {
      logLine(`${relative(folder, changed)} has changed`);
      await this.#endAll();
      if (this.#isStopping) return;
      for (const slot of this.#slots) this.#start(slot);
    }
  }
}
