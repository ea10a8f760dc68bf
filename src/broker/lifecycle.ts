import { BrokerClosedError } from '../errors.ts';

/** What a start and a stop do. */
export interface Steps {
  /** Starts. `isWanted` turns false when a stop is asked for meanwhile: then it ends as soon as it can. */
  start(isWanted: () => boolean): Promise<void>;
  /** Stops whatever is there. `starting` is the start that it ends, which may still be under way. */
  stop(starting: Promise<void> | undefined): Promise<void>;
}

/**
 * Runs starts and stops one after the other, in the order in which they were asked for. The last word
 * counts: a start that is followed by a stop before its turn comes does nothing, and rejects.
 */
export class Lifecycle {
  /** `broker` or `app`: for errors. */
  readonly #what: string;
  readonly #steps: Steps;
  /** The start that no stop has followed, under way or done; undefined otherwise. */
  #starting: Promise<void> | undefined;
  /** The last stop, while it waits or is under way. */
  #stopping: Promise<void> | undefined;
  /** Whether anything was asked for after the last stop. */
  #isWanted = false;
  #stops = 0;

  constructor(what: string, steps: Steps) {
    this.#what = what;
    this.#steps = steps;
  }

  /** How often a stop was asked for: what has begun under one number is over under the next. */
  get stops(): number {
    return this.#stops;
  }

  /** Whether a stop is under way, or waits for its turn. */
  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** A second start before a stop is the first. One that fails stops nothing: that is for `steps.start`. */
  start(): Promise<void> {
    if (this.#starting !== undefined) return this.#starting;
    const isWanted = this.#until();
    const starting = this.#start(isWanted).catch((error: unknown) => {
      if (this.#starting === starting) this.#starting = undefined;
      throw error;
    });
    return (this.#starting = starting);
  }

  /** Resolves when the stops asked for so far are over. Rejects with `BrokerClosedError` where another one comes meanwhile. */
  async ready(): Promise<void> {
    const isWanted = this.#until();
    await this.#stopping?.catch(() => undefined); // for whoever asked for it
    if (!isWanted()) throw this.#stopped();
  }

  /** Never starts anything again. A second stop is the first, unless something was asked for in between. */
  stop(): Promise<void> {
    if (this.#stopping !== undefined && !this.#isWanted) return this.#stopping;
    this.#isWanted = false;
    this.#stops++;
    const [starting, before] = [this.#starting, this.#stopping];
    this.#starting = undefined;
    const stopping = this.#stop(starting, before).finally(() => {
      if (this.#stopping === stopping) this.#stopping = undefined;
    });
    return (this.#stopping = stopping);
  }

  async #start(isWanted: () => boolean): Promise<void> {
    // Without a stop to wait for, the first step is taken at once.
    if (this.#stopping !== undefined) await this.#stopping.catch(() => undefined);
    if (isWanted()) await this.#steps.start(isWanted);
    if (!isWanted()) throw this.#stopped();
  }

  async #stop(
    starting: Promise<void> | undefined,
    before: Promise<void> | undefined,
  ): Promise<void> {
    await before?.catch(() => undefined); // for whoever asked for it
    await this.#steps.stop(starting);
  }

  /** Whether no stop has been asked for since now. */
  #until(): () => boolean {
    this.#isWanted = true;
    const stops = this.#stops;
    return () => stops === this.#stops;
  }

  #stopped(): BrokerClosedError {
    return new BrokerClosedError(`the ${this.#what} was stopped while it started`);
  }
}
