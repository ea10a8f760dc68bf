// Local times of a time zone. A local time is written as the milliseconds that it would be in UTC.

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A time zone of the IANA database. */
export class Zone {
  readonly #format: Intl.DateTimeFormat;

  /** Throws `RangeError` for a name that is no zone. */
  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  /** The local time at an instant. */
  localOf(instant: number): number {
    const parts: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {};
    for (const { type, value } of this.#format.formatToParts(instant)) parts[type] = value;
    const [year, month, day] = [Number(parts.year), Number(parts.month), Number(parts.day)];
    const [hour, minute, second] = [parts.hour, parts.minute, parts.second].map(Number);
    const local = Date.UTC(year, month - 1, day, hour, minute, second);
    return local + (((instant % 1_000) + 1_000) % 1_000);
  }

  /** The instant of a local time: the first one where it comes twice, that of the jump where it is skipped. */
  instantOf(local: number): number {
    const before = this.#offsetAt(local - DAY);
    const after = this.#offsetAt(local + DAY);
    const early = Math.min(local - before, local - after);
    const late = Math.max(local - before, local - after);
    if (this.localOf(early) === local) return early;
    if (before >= after || this.localOf(late) === local) return late;
    return this.#jumpBetween(early, late);
  }

  /** Whether local times come twice within a few hours before an instant. */
  hasRepeated(instant: number): boolean {
    return this.#offsetAt(instant - 4 * HOUR) > this.#offsetAt(instant);
  }

  #offsetAt(instant: number): number {
    return this.localOf(instant) - instant;
  }

  #jumpBetween(from: number, to: number): number {
    const offset = this.#offsetAt(from);
    let [low, high] = [from, to];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#offsetAt(middle) === offset) low = middle;
      else high = middle;
    }
    return high;
  }
}
