import { constants } from 'node:os';
import type { RedisBroker } from './broker.ts';
import { AppError, BrokerClosedError, SetupError, messageOf, type Failure } from '../errors.ts';
import { checkKeys, isObject } from '../internal/checks.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';

/** What is done around the brokers' time. A promise is awaited; its value is not used. */
type Hook = () => unknown;

/** The hooks of an app, each optional, in the order in which they run. */
export interface AppOptions {
  /** Runs before the brokers start: open what handlers need. */
  onStartup?: Hook;
  /** Runs when all subscriptions are confirmed. */
  afterStartup?: Hook;
  /** Undoes `afterStartup`, while the brokers still run. Not run where that has failed. */
  beforeShutdown?: Hook;
  /** Undoes `onStartup`, when the brokers have stopped: no handler runs any more. Not run where that has failed. */
  onShutdown?: Hook;
}

export interface RunOptions {
  /** Signals that stop the app. Default `SIGINT` and `SIGTERM`. */
  signals?: readonly NodeJS.Signals[];
}

const HOOKS = ['onStartup', 'afterStartup', 'beforeShutdown', 'onShutdown'] as const;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];

/** Something to be done, and what it is called where it fails. */
interface Step {
  readonly name: string;
  readonly run: Hook | undefined;
}

/** One part of the start, and what undoes it. A part that fails cleans up for itself. */
interface Stage {
  readonly enter: Step;
  readonly leave: Step;
}

/** Brokers and what is to be done around them. Made by {@link createApp}. */
export class App {
  readonly brokers: readonly RedisBroker[];
  readonly #stages: readonly Stage[];
  /** Stages that have been entered. */
  readonly #entered: Stage[] = [];
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  /** Ends `run`; its value is the exit code. */
  #over: Deferred<number> | undefined;
  #hasRun = false;

  /** @internal */
  constructor(brokers: readonly RedisBroker[], hooks: AppOptions) {
    this.brokers = brokers;
    const { onStartup, afterStartup, beforeShutdown, onShutdown } = hooks;
    this.#stages = [
      {
        enter: { name: 'onStartup', run: onStartup },
        leave: { name: 'onShutdown', run: onShutdown },
      },
      {
        enter: { name: 'start', run: () => this.#startBrokers() },
        leave: { name: 'stop', run: () => this.#drainAndStopBrokers() },
      },
      {
        enter: { name: 'afterStartup', run: afterStartup },
        leave: { name: 'beforeShutdown', run: beforeShutdown },
      },
    ];
  }

  /** Whether `run` was ever called. @internal */
  get hasRun(): boolean {
    return this.#hasRun;
  }

  /**
   * Starts, waits for SIGINT, SIGTERM, {@link exit} or {@link stop}, and resolves when all is
   * stopped. A second signal ends the process at once, with 128 and the signal's number. Signal
   * handlers are there only meanwhile. Rejects as {@link start} and {@link stop} do.
   */
  async run(options: RunOptions = {}): Promise<void> {
    const signals = signalsIn(options);
    if (this.#over !== undefined) throw new SetupError('run: the app runs already');
    const over = (this.#over = deferred<number>());
    this.#hasRun = true;
    let isTold = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (isTold) process.exit(128 + constants.signals[signal]);
      isTold = true;
      over.resolve(0);
    };
    for (const signal of signals) process.on(signal, onSignal);
    // On memory:// there is nothing else that keeps the process alive.
    const alive = setInterval(() => undefined, 2 ** 30);
    try {
      const starting = this.start();
      await Promise.race([starting, over.promise]);
      const code = await over.promise;
      await this.stop();
      await starting.catch((error: unknown) => {
        if (!(error instanceof BrokerClosedError)) throw error; // it was told to stop while it started
      });
      if (code !== 0) process.exitCode = code;
    } finally {
      clearInterval(alive);
      for (const signal of signals) process.off(signal, onSignal);
      this.#over = undefined;
    }
  }

  /**
   * Has `run` stop everything and resolve; a `code` other than 0 becomes the process's exit code.
   * Handlers call it, since awaiting {@link stop} in one would wait for that handler itself. Throws
   * `SetupError` where `run` is not running.
   */
  exit(code = 0): void {
    if (!Number.isInteger(code) || code < 0 || code > 255)
      throw new SetupError(`exit: expected a code from 0 to 255, got ${String(code)}`);
    if (this.#over === undefined)
      throw new SetupError('exit: it ends run(), which is not running; after start() call stop()');
    this.#over.resolve(code);
  }

  /**
   * For embedding: `onStartup`, the brokers, `afterStartup`; handles no signals. Where one of them
   * fails, what was started is stopped again, and it rejects with an `AppError` whose `cause` that
   * is. Rejects with `BrokerClosedError` where `stop` was called meanwhile.
   */
  start(): Promise<void> {
    if (this.#stopping === undefined) return (this.#starting ??= this.#start());
    const again = (): Promise<void> => this.start();
    return this.#stopping.then(again, again);
  }

  /**
   * `beforeShutdown`, the brokers (see `RedisBroker.stop`), `onShutdown`. Safe to call at any time
   * and any number of times. Goes through with it whatever fails, and rejects with an `AppError` then.
   */
  stop(): Promise<void> {
    this.#over?.resolve(0);
    return (this.#stopping ??= this.#stop().finally(() => {
      this.#stopping = undefined;
    }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #start(): Promise<void> {
    const failures: Failure[] = [];
    for (const stage of this.#stages) {
      await attempt(stage.enter, failures);
      if (failures.length > 0) break;
      this.#entered.push(stage);
      if (this.#stopping !== undefined) break;
    }
    if (failures.length === 0 && this.#stopping === undefined) return;
    await this.#leave(failures);
    this.#starting = undefined;
    if (failures.length > 0) throw new AppError('STARTUP', failures);
    throw new BrokerClosedError('the app was stopped while it started');
  }

  async #stop(): Promise<void> {
    const starting = this.#starting;
    if (starting === undefined) return;
    if (this.#entered.length < this.#stages.length) {
      // It cleans up for itself, and its caller hears what it met.
      await starting.catch(() => undefined);
      return;
    }
    const failures: Failure[] = [];
    await this.#leave(failures);
    this.#starting = undefined;
    if (failures.length > 0) throw new AppError('SHUTDOWN', failures);
  }

  /** Undoes what was entered, the last first. */
  async #leave(failures: Failure[]): Promise<void> {
    for (const { leave } of this.#entered.splice(0).reverse()) await attempt(leave, failures);
  }

  async #startBrokers(): Promise<void> {
    const results = await Promise.allSettled(this.brokers.map((broker) => broker.start()));
    const failures = results.filter((result) => result.status === 'rejected');
    if (failures.length === 0) return;
    await this.#stopBrokers();
    const reasons = failures.map(({ reason }) => reason as unknown);
    if (reasons.length === 1) throw reasons[0];
    throw new AggregateError(reasons, reasons.map(messageOf).join('; '));
  }

  /** First all handlers, then all connections: a handler of one broker may publish with another. */
  async #drainAndStopBrokers(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.drain()));
    await this.#stopBrokers();
  }

  async #stopBrokers(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.stop()));
  }
}

/**
 * Puts brokers and what is to be done around them into one thing that starts and stops as a whole:
 * `await createApp(broker, { onStartup, onShutdown }).run()`. Throws `SetupError` for what is no
 * broker and for unknown options.
 */
export function createApp(
  brokers: RedisBroker | readonly RedisBroker[],
  options: AppOptions = {},
): App {
  const all: readonly RedisBroker[] = Array.isArray(brokers) ? [...brokers] : [brokers];
  if (all.length === 0) throw new SetupError('createApp: expected a broker or several, got none');
  for (const broker of all) {
    // Not `instanceof`: the command line may be another copy of this package.
    if (typeof (broker as unknown) === 'object' && isBroker(broker)) continue;
    throw new SetupError(
      `createApp: expected a RedisBroker or an array of them, got ${broker === null ? 'null' : typeof broker}`,
    );
  }
  if (new Set(all).size < all.length)
    throw new SetupError('createApp: one broker was given twice; each is started once');
  if (!isObject(options))
    throw new SetupError(`createApp: expected an object of hooks, got ${typeof options}`);
  checkKeys(options, HOOKS, 'createApp', 'an app');
  for (const name of HOOKS) {
    const hook: unknown = options[name];
    if (hook !== undefined && typeof hook !== 'function')
      throw new SetupError(`createApp: '${name}' must be a function, got ${typeof hook}`);
  }
  return new App(all, options);
}

function signalsIn(options: RunOptions): readonly NodeJS.Signals[] {
  checkKeys(options, ['signals'], 'run', 'run');
  const { signals = SIGNALS } = options;
  for (const signal of signals) {
    // Node would listen for one that there is not, and hear nothing.
    if (signal in constants.signals && signal !== 'SIGKILL' && signal !== 'SIGSTOP') continue;
    throw new SetupError(`run: '${signal}' is not a signal that a process can handle`);
  }
  return signals;
}

async function attempt({ name, run }: Step, failures: Failure[]): Promise<void> {
  try {
    await run?.();
  } catch (error) {
    failures.push({ step: name, error });
  }
}

function isBroker(value: object | null): boolean {
  return ['start', 'stop', 'publish'].every(
    (name) => typeof (value as Record<string, unknown> | null)?.[name] === 'function',
  );
}
