import { checkEvery, type EveryOptions, type Repeated } from '../api/every.ts';
import { SetupError, messageOf } from '../errors.ts';
import { clearTimer, setTimer } from '../internal/clock.ts';
import { uniqueId } from '../internal/ids.ts';
import { TURN } from '../message/extras.ts';
import { cronSchedule, everyPeriod, type Schedule } from '../publish/cron.ts';
import type { Sender } from '../publish/sender.ts';
import { describe, type Target } from '../transport/address.ts';
import type { Report } from '../transport/source.ts';
import type { Timed } from '../transport/timed.ts';

const DAY = 86_400_000;

/** The server remembers a series for this long, or for so many periods, whichever is longer. */
const LIFE = 30 * DAY;
const PERIODS = 10;

/** Longest time until it is asked again when the next turn is due: clocks run apart. */
const LONGEST = DAY / 2;

/** Milliseconds until a turn is tried again that could not be asked for or sent, or that is not due by the server's clock. */
const RETRY = 5_000;

export interface RepeatsOptions {
  readonly prefix: string;
  readonly sender: () => Sender;
  readonly timed: () => Promise<Timed>;
  readonly report: Report;
}

/** The repeated messages of one broker. They are sent while it is connected. */
export class Repeats {
  readonly #options: RepeatsOptions;
  readonly #series = new Map<string, Series>();
  #timed: Timed | undefined;

  constructor(options: RepeatsOptions) {
    this.#options = options;
  }

  /** Adds a series. Throws `SetupError` for a mistake, and for one that is there already. */
  add(when: number | string, options: EveryOptions): Repeated {
    const target = checkEvery(when, options);
    const { id, body, headers, timezone = 'UTC' } = options;
    const schedule =
      typeof when === 'number' ? everyPeriod(when) : cronSchedule(when, timezone, 'every');
    const key = `${target.sharded === true} ${describe(target)} ${id}`;
    if (this.#series.get(key)?.isOver === false) {
      throw new SetupError(
        `every: there is a series '${id}' for ${describe(target)} already: give it another id, or remove the first one`,
      );
    }
    try {
      this.#options.sender().checkSendable({ body, headers, correlationId: uniqueId() });
    } catch (cause) {
      throw new SetupError(`every: the message of '${id}' cannot be sent: ${messageOf(cause)}`, {
        cause,
      });
    }
    const to = { ...target, name: this.#options.prefix + target.name };
    const series = new Series(schedule, options, to, this.#options);
    this.#series.set(key, series);
    if (this.#timed !== undefined) series.open(this.#timed);
    return series;
  }

  /** The broker is connected. */
  open(timed: Timed): void {
    this.#timed = timed;
    for (const series of this.#series.values()) series.open(timed);
  }

  close(): void {
    this.#timed = undefined;
    for (const series of this.#series.values()) series.close();
  }
}

/** One message that is sent again and again, by whichever process is first. */
class Series implements Repeated {
  /** Whether it was removed. */
  isOver = false;
  readonly #schedule: Schedule;
  readonly #message: EveryOptions;
  readonly #target: Target;
  readonly #options: RepeatsOptions;
  #timer: NodeJS.Timeout | undefined;
  /** Of the connection; undefined while there is none. */
  #timed: Timed | undefined;
  #isBegun = false;
  #isFailing = false;

  constructor(schedule: Schedule, message: EveryOptions, target: Target, options: RepeatsOptions) {
    this.#schedule = schedule;
    this.#message = message;
    this.#target = target;
    this.#options = options;
  }

  readonly next = async (): Promise<Date | undefined> => {
    if (this.isOver) return undefined;
    const { clock } = await this.#options.timed();
    await clock.ready();
    const at = this.#schedule.next(clock.now());
    return at === undefined ? undefined : new Date(at);
  };

  readonly remove = async (): Promise<void> => {
    this.isOver = true;
    this.close();
    const timed = await this.#options.timed();
    await timed.markTurns(this.#target, this.#message.id, 'remove');
  };

  open(timed: Timed): void {
    if (this.isOver) return;
    this.#timed = timed;
    this.#isBegun = false;
    this.#askIn(0);
  }

  close(): void {
    this.#timed = undefined;
    clearTimer(this.#timer);
  }

  #askIn(wait: number): void {
    clearTimer(this.#timer);
    this.#timer = setTimer(() => void this.#ask(), Math.ceil(Math.min(wait, LONGEST)));
  }

  async #ask(): Promise<void> {
    const timed = this.#timed;
    if (timed === undefined) return;
    let wait = RETRY;
    try {
      wait = await this.#turn(timed);
      this.#isFailing = false;
    } catch (error) {
      const isNew = !this.#isFailing && this.#timed === timed;
      this.#isFailing = true;
      if (isNew)
        this.#options.report(
          `'${this.#message.id}' for ${describe(this.#target)} cannot be sent, it is tried again`,
          error,
        );
    }
    if (this.#timed === timed) this.#askIn(wait);
  }

  /** Sends the turn that is due, unless another process does. Resolves with the milliseconds until it is to be asked again. */
  async #turn(timed: Timed): Promise<number> {
    const { clock } = timed;
    const { id, body, timezone: _, ...to } = this.#message;
    await clock.ready();
    if (!this.#isBegun) {
      await timed.markTurns(this.#target, id, 'begin');
      this.#isBegun = true;
    }
    const now = clock.now();
    const time = this.#schedule.previous(now);
    const next = this.#schedule.next(now);
    if (time !== undefined) {
      const turn = { id, time, life: Math.max(LIFE, PERIODS * ((next ?? time) - time)) };
      const answer = await timed.takeTurn(this.#target, turn);
      if (answer === 'removed') {
        this.isOver = true;
        this.close();
        return Infinity;
      }
      if (answer === 'yours') {
        const options = { ...to, at: time, [TURN]: turn };
        await this.#options.sender().publish(body, options);
      } else if (answer > 0) return Math.min(answer, RETRY);
    }
    return next === undefined ? Infinity : Math.max(0, next - clock.now());
  }
}
