import { constants } from 'node:os';
import { AppError, BrokerClosedError, SetupError, messageOf, type Failure } from '../errors.ts';
import {
  checkKeys,
  checkOptions,
  isObject,
  millisecondsOrNull,
  type Check,
} from '../internal/checks.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';
import type { Report } from '../transport/source.ts';
import type { RedisBroker } from './broker.ts';
import { Lifecycle } from './lifecycle.ts';
import { attempt, type Hook, type Step } from './steps.ts';

/** The hooks of an app, each optional, in the order in which they run. */
export interface AppOptions {
  /** Runs before the brokers start. Open here what handlers need. Default: none. */
  onStartup?: Hook;
  /** Runs when all subscriptions are confirmed. Default: none. */
  afterStartup?: Hook;
  /** Undoes `afterStartup`, while the brokers still run. It does not run if `afterStartup` failed. Default: none. */
  beforeShutdown?: Hook;
  /**
   * Undoes `onStartup`, after the brokers have stopped and all handlers have ended. It does not run if `onStartup`
   * failed. Default: none.
   */
  onShutdown?: Hook;
  /**
   * Milliseconds for each of `onStartup` and `afterStartup`; `null`: no limit. After that the start fails, and
   * what was done is undone. Default 60 000.
   */
  startTimeout?: number | null;
  /**
   * Milliseconds for each of `beforeShutdown` and `onShutdown`; `null`: no limit. After that the stop goes on
   * without the hook, and fails at its end. With the default `gracefulTimeout`, all ends within the 30 s that
   * Kubernetes gives. Default 5 000.
   */
  stopTimeout?: number | null;
}

export interface RunOptions {
  /** The signals that stop the app. Default: `SIGINT` and `SIGTERM`. */
  signals?: readonly NodeJS.Signals[];
}

const hook: Check = (value, key, where) => {
  if (typeof value === 'function') return;
  throw new SetupError(`${where}: '${key}' must be a function, got ${typeof value}`);
};

const OPTIONS: Readonly<Record<keyof AppOptions, Check>> = {
  onStartup: hook,
  afterStartup: hook,
  beforeShutdown: hook,
  onShutdown: hook,
  startTimeout: millisecondsOrNull,
  stopTimeout: millisecondsOrNull,
};
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];

/** One step of the start, and the step that undoes it. A step that fails undoes its own work. */
interface Stage {
  readonly enter: Step;
  readonly leave: Step;
}

/** Brokers and hooks that start and stop together. Made by {@link createApp}. */
export class App {
  readonly brokers: readonly RedisBroker[];
  readonly #stages: readonly Stage[];
  /** Stages whose `enter` has succeeded, and not been undone. */
  readonly #entered: Stage[] = [];
  readonly #lifecycle = new Lifecycle('app', {
    start: (isWanted) => this.#start(isWanted),
    stop: (starting) => this.#stop(starting),
  });
  /** Resolves with the exit code to end `run`; undefined while `run` does not run. */
  #exitCode: Deferred<number> | undefined;
  #hasRun = false;

  /** @internal */
  constructor(brokers: readonly RedisBroker[], hooks: AppOptions) {
    this.brokers = brokers;
    const { onStartup, afterStartup, beforeShutdown, onShutdown } = hooks;
    const { startTimeout = 60_000, stopTimeout = 5_000 } = hooks;
    this.#stages = [
      {
        enter: { name: 'onStartup', run: onStartup, limit: startTimeout },
        leave: { name: 'onShutdown', run: onShutdown, limit: stopTimeout },
      },
      {
        enter: { name: 'start', run: () => this.#startBrokers(), limit: null },
        leave: { name: 'stop', run: () => this.#drainAndStopBrokers(), limit: null },
      },
      {
        enter: { name: 'afterStartup', run: afterStartup, limit: startTimeout },
        leave: { name: 'beforeShutdown', run: beforeShutdown, limit: stopTimeout },
      },
    ];
  }

  /** Whether `run` was ever called. @internal */
  get hasRun(): boolean {
    return this.#hasRun;
  }

  /**
   * Starts, waits for SIGINT, SIGTERM, {@link exit} or {@link stop}, then stops and resolves. A second
   * signal ends the process at once with exit code 128 plus the signal's number. The signal handlers
   * are removed at the end. Rejects with the errors of {@link start} and {@link stop}.
   */
  async run(options: RunOptions = {}): Promise<void> {
    const signals = signalsIn(options);
    if (this.#exitCode !== undefined) throw new SetupError('run: the app runs already');
    const exitCode = (this.#exitCode = deferred<number>());
    this.#hasRun = true;
    let isStopping = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (isStopping) process.exit(128 + constants.signals[signal]);
      isStopping = true;
      exitCode.resolve(0);
    };
    for (const signal of signals) process.on(signal, onSignal);
    // With memory:// nothing else keeps the process alive.
    const keepAlive = setInterval(() => undefined, 2 ** 30);
    try {
      const starting = this.start();
      await Promise.race([starting, exitCode.promise]);
      const code = await exitCode.promise;
      await this.stop();
      await starting.catch((error: unknown) => {
        if (!(error instanceof BrokerClosedError)) throw error; // stopped while it started
      });
      if (code !== 0) process.exitCode = code;
    } finally {
      clearInterval(keepAlive);
      for (const signal of signals) process.off(signal, onSignal);
      this.#exitCode = undefined;
    }
  }

  /**
   * Makes `run` stop everything and resolve. A `code` other than 0 becomes the exit code of the
   * process; default 0. Handlers call this instead of {@link stop}, which would wait for the handler
   * itself. Throws `SetupError` if `run` does not run.
   */
  exit(code = 0): void {
    if (!Number.isInteger(code) || code < 0 || code > 255)
      throw new SetupError(`exit: expected a code from 0 to 255, got ${String(code)}`);
    if (this.#exitCode === undefined)
      throw new SetupError('exit: it ends run(), which is not running; after start() call stop()');
    this.#exitCode.resolve(code);
  }

  /**
   * Runs `onStartup`, starts the brokers, and runs `afterStartup`; handles no signals. If one of these
   * fails, undoes the others and rejects with an `AppError`, whose `cause` is the error. Rejects with
   * `BrokerClosedError` if `stop` is called meanwhile.
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /**
   * Runs `beforeShutdown`, stops the brokers (see `RedisBroker.stop`), and runs `onShutdown`. Can be
   * called at any time and more than once. If one of these fails, runs the others all the same, and
   * then rejects with an `AppError`.
   */
  stop(): Promise<void> {
    this.#exitCode?.resolve(0);
    return this.#lifecycle.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #start(isWanted: () => boolean): Promise<void> {
    const failures: Failure[] = [];
    for (const stage of this.#stages) {
      await attempt(stage.enter, failures, this.#report);
      if (failures.length > 0) break;
      this.#entered.push(stage);
      if (!isWanted()) break;
    }
    if (failures.length === 0 && isWanted()) return;
    await this.#leave(failures);
    if (failures.length > 0) throw new AppError('STARTUP', failures);
  }

  /** A start that is under way undoes its own work, and rejects for its own caller. */
  async #stop(starting: Promise<void> | undefined): Promise<void> {
    await starting?.catch(() => undefined);
    const failures: Failure[] = [];
    await this.#leave(failures);
    if (failures.length > 0) throw new AppError('SHUTDOWN', failures);
  }

  /** Runs `leave` of the entered stages, the last one first. */
  async #leave(failures: Failure[]): Promise<void> {
    for (const { leave } of this.#entered.splice(0).reverse())
      await attempt(leave, failures, this.#report);
  }

  /** To the log of the first broker; one of another copy of this package may have none for us. */
  readonly #report: Report = (...line) =>
    (this.brokers[0] as Partial<RedisBroker>).reportFor?.('app')(...line);

  async #startBrokers(): Promise<void> {
    const results = await Promise.allSettled(this.brokers.map((broker) => broker.start()));
    const failures = results.filter((result) => result.status === 'rejected');
    if (failures.length === 0) return;
    await this.#stopBrokers();
    const reasons = failures.map(({ reason }) => reason as unknown);
    if (reasons.length === 1) throw reasons[0];
    throw new AggregateError(reasons, reasons.map(messageOf).join('; '));
  }

  /** First waits for the handlers of all brokers, then closes connections: a handler of one broker may publish with another. */
  async #drainAndStopBrokers(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.drain()));
    await this.#stopBrokers();
  }

  async #stopBrokers(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.stop()));
  }
}

/**
 * Makes an app of one or more brokers and hooks, which start and stop together:
 * `await createApp(broker, { onStartup, onShutdown }).run()`. Throws `SetupError` for a value that is
 * no broker, for a broker given twice, and for unknown or invalid hooks.
 */
export function createApp(
  brokers: RedisBroker | readonly RedisBroker[],
  options: AppOptions = {},
): App {
  const all: readonly RedisBroker[] = Array.isArray(brokers) ? [...brokers] : [brokers];
  if (all.length === 0) throw new SetupError('createApp: expected a broker or several, got none');
  for (const broker of all) {
    // Not `instanceof`: the broker may come from another copy of this package.
    if (typeof (broker as unknown) === 'object' && isBroker(broker)) continue;
    throw new SetupError(
      `createApp: expected a RedisBroker or an array of them, got ${broker === null ? 'null' : typeof broker}`,
    );
  }
  if (new Set(all).size < all.length)
    throw new SetupError('createApp: one broker was given twice; each is started once');
  if (!isObject(options))
    throw new SetupError(`createApp: expected an object of hooks, got ${typeof options}`);
  checkOptions(options, OPTIONS, 'createApp', 'an app');
  return new App(all, options);
}

function signalsIn(options: RunOptions): readonly NodeJS.Signals[] {
  checkKeys(options, ['signals'], 'run', 'run');
  const { signals = SIGNALS } = options;
  for (const signal of signals) {
    // Node accepts a listener for an unknown signal, but never calls it.
    if (signal in constants.signals && signal !== 'SIGKILL' && signal !== 'SIGSTOP') continue;
    throw new SetupError(`run: '${signal}' is not a signal that a process can handle`);
  }
  return signals;
}

function isBroker(value: object | null): boolean {
  return ['start', 'stop', 'publish'].every(
    (name) => typeof (value as Record<string, unknown> | null)?.[name] === 'function',
  );
}
