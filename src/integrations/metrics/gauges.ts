import type { Health, RedisBroker, SubscriberHealth, SubscriberInfo } from '../../index.ts';
import { DEFINITIONS } from './definitions.ts';
import { subscribersOf } from './places.ts';
import { Values, pairs, type Series } from './registry.ts';

/** Milliseconds for which the answers of Redis are kept: pages that are asked for at once share them. */
const KEPT = 1_000;

/** Milliseconds to wait for the ages of entries; `health()` itself takes 3 s at most. */
const PATIENCE = 3_000;

/** The seconds since the oldest entry of one group, by `subscriber.name` and group. */
type Ages = ReadonlyMap<string, number>;

const NO_AGES: Ages = new Map();

/** What one broker answered. */
interface Answer {
  readonly health: Health;
  readonly infos: readonly SubscriberInfo[];
  readonly ages: Ages;
}

/** The numbers that are asked for at each scrape: of `broker.health()`, `broker.stats` and Redis. */
export class Gauges {
  readonly pendingCalls = new Values(DEFINITIONS.pendingCalls);
  readonly lateAnswers = new Values(DEFINITIONS.lateAnswers);
  readonly up = new Values(DEFINITIONS.up);
  readonly live = new Values(DEFINITIONS.live);
  readonly ready = new Values(DEFINITIONS.ready);
  readonly state = new Values(DEFINITIONS.state);
  readonly running = new Values(DEFINITIONS.running);
  readonly longest = new Values(DEFINITIONS.longest);
  readonly waiting = new Values(DEFINITIONS.waiting);
  readonly dropped = new Values(DEFINITIONS.dropped);
  readonly held = new Values(DEFINITIONS.held);
  readonly listLength = new Values(DEFINITIONS.listLength);
  readonly lag = new Values(DEFINITIONS.lag);
  readonly pending = new Values(DEFINITIONS.pending);
  readonly consumers = new Values(DEFINITIONS.consumers);
  readonly oldest = new Values(DEFINITIONS.oldest);
  readonly deadLetters = new Values(DEFINITIONS.deadLetters);
  readonly deadLettersMax = new Values(DEFINITIONS.deadLettersMax);

  readonly #brokers: readonly RedisBroker[];
  /** Whether numbers that are the same from every process are asked for. */
  readonly #server: boolean;
  readonly #infos = new Map<RedisBroker, readonly SubscriberInfo[]>();
  #asked: Promise<readonly SubscriberInfo[]> | undefined;
  #askedAt = -Infinity;

  constructor(brokers: readonly RedisBroker[], server: boolean) {
    this.#brokers = brokers;
    this.#server = server;
  }

  /** Asks, unless the last answers are still kept. Resolves with the subscribers of all brokers. */
  async update(): Promise<readonly SubscriberInfo[]> {
    if (performance.now() - this.#askedAt > KEPT) this.#asked = undefined;
    if (this.#asked === undefined) {
      this.#askedAt = performance.now();
      this.#asked = this.#ask();
    }
    const subscribers = await this.#asked;
    const stats = this.#brokers.map((broker) => broker.stats);
    this.pendingCalls.at().value = sum(stats.map(({ pendingCalls }) => pendingCalls));
    this.lateAnswers.at().value = sum(stats.map(({ lateAnswers }) => lateAnswers));
    return subscribers;
  }

  async #ask(): Promise<readonly SubscriberInfo[]> {
    const answers = await Promise.all(this.#brokers.map((one) => this.#answerOf(one)));
    const all = (test: (health: Health) => boolean): number =>
      Number(answers.every(({ health }) => test(health)));
    this.up.at().value = all(({ connected }) => connected);
    this.live.at().value = all(({ live }) => live);
    this.ready.at().value = all(({ ready }) => ready);
    for (const family of [
      ...[this.state, this.running, this.longest, this.waiting, this.dropped, this.held],
      ...[this.listLength, this.lag, this.pending, this.consumers, this.oldest],
      ...[this.deadLetters, this.deadLettersMax],
    ])
      family.reset();
    for (const { health, infos, ages } of answers) {
      for (const [i, one] of health.subscribers.entries()) {
        const info = infoOf(infos, one, i);
        if (info === undefined) continue;
        this.#ofHandler(one, info);
        if (this.#server) this.#ofServer(one, info, ages);
      }
    }
    return answers.flatMap(({ infos }) => infos);
  }

  async #answerOf(broker: RedisBroker): Promise<Answer> {
    const health = await broker.health();
    const infos = this.#infosOf(broker, health);
    const ages = this.#server && health.connected ? await agesOf(broker, health, infos) : NO_AGES;
    return { health, infos, ages };
  }

  /** `broker.subscribers` plans all of them anew: it is read where health knows others than before. */
  #infosOf(broker: RedisBroker, { subscribers }: Health): readonly SubscriberInfo[] {
    const known = this.#infos.get(broker) ?? [];
    const isSame = subscribers.every((one, i) => fits(known[i], one));
    if (isSame && known.length === subscribers.length) return known;
    const infos = subscribersOf(broker);
    this.#infos.set(broker, infos);
    return infos;
  }

  #ofHandler(one: SubscriberHealth, info: SubscriberInfo): void {
    const labels = labelsOf(info);
    this.state.of(stateLabelsOf(info, one.state)).value = 1;
    this.running.of(labels).value += one.running;
    atLeast(this.longest.of(labels), one.longest / 1_000);
    // The `waiting` of a list is the list's own length.
    if (info.kind === 'channel' && one.waiting !== undefined)
      this.waiting.of(labels).value += one.waiting;
    if (one.dropped !== undefined) this.dropped.of(labels).value += one.dropped;
    if (one.held !== undefined) this.held.of(labels).value += one.held;
  }

  /** A missing number is a missing line: 0 would say that all is well. */
  #ofServer(one: SubscriberHealth, { name, kind, group }: SubscriberInfo, ages: Ages): void {
    if (kind === 'list' && one.waiting !== undefined) this.listLength.at(name).value = one.waiting;
    if (group !== undefined) {
      if (one.lag !== undefined) this.lag.at(name, group).value = one.lag;
      if (one.pending !== undefined) this.pending.at(name, group).value = one.pending;
      if (one.consumers !== undefined) this.consumers.at(name, group).value = one.consumers;
      const age = ages.get(keyOf(name, group));
      if (age !== undefined) this.oldest.at(name, group).value = age;
    }
    if (one.deadLetters === undefined) return;
    const { address, count, maxlen } = one.deadLetters;
    const place = /'(.*)'$/s.exec(address)?.[1] ?? address;
    this.deadLetters.at(place).value = count;
    if (maxlen !== undefined) this.deadLettersMax.at(place).value = maxlen;
  }
}

/** Both are in the order of registration; one may have come in between. */
function infoOf(
  infos: readonly SubscriberInfo[],
  one: SubscriberHealth,
  i: number,
): SubscriberInfo | undefined {
  return fits(infos[i], one) ? infos[i] : infos.find((info) => fits(info, one));
}

function fits(info: SubscriberInfo | undefined, { address, title }: SubscriberHealth): boolean {
  return info?.address === address && info.title === title;
}

/** How old the oldest entry of each group is that has entries to be done. Asks Redis alone, not `memory://`. */
async function agesOf(
  broker: RedisBroker,
  health: Health,
  infos: readonly SubscriberInfo[],
): Promise<Ages> {
  const ages = new Map<string, number>();
  const asking: Promise<void>[] = [];
  let now: Promise<number> | undefined;
  for (const [i, one] of health.subscribers.entries()) {
    const { name, group } = infoOf(infos, one, i) ?? {};
    if (name === undefined || group === undefined || one.pending === undefined) continue;
    const key = keyOf(name, group);
    if (one.pending === 0 && one.lag === 0) {
      ages.set(key, 0);
      continue;
    }
    let client: RedisBroker['client'];
    try {
      client = broker.client;
    } catch {
      continue; // memory:// has none
    }
    now ??= client.time().then(([seconds]) => Number(seconds) * 1_000);
    asking.push(
      Promise.all([now, oldestOf(client, name, group, one)]).then(([at, oldest]) => {
        if (oldest !== undefined) ages.set(key, Math.max(0, at - oldest) / 1_000);
      }),
    );
  }
  if (asking.length === 0) return ages;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE);
  });
  // What Redis refuses is left out.
  await Promise.race([Promise.allSettled(asking), late]);
  clearTimeout(timer);
  return new Map(ages);
}

/** Unix milliseconds of the oldest entry that is not acknowledged (XPENDING) or not delivered (XRANGE): its id has them. */
async function oldestOf(
  client: RedisBroker['client'],
  name: string,
  group: string,
  { pending = 0, lag }: SubscriberHealth,
): Promise<number | undefined> {
  if (pending > 0) {
    const [, first] = (await client.xpending(name, group)) as [number, string | null];
    // It was delivered before all that are not.
    if (first !== null) return millisecondsOf(first);
  }
  if (lag === 0) return undefined;
  const groups = (await client.xinfo('GROUPS', name)) as unknown[][];
  const row = groups.find((fields) => fields[fields.indexOf('name') + 1] === group);
  const last = row?.[row.indexOf('last-delivered-id') + 1];
  if (typeof last !== 'string') return undefined;
  const [next] = await client.xrange(name, `(${last}`, '+', 'COUNT', 1);
  return next === undefined ? undefined : millisecondsOf(next[0]);
}

function millisecondsOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')));
}

function keyOf(name: string, group: string): string {
  return JSON.stringify([name, group]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function atLeast(series: Series, value: number): void {
  series.value = Math.max(series.value, value);
}

const labels = new WeakMap<SubscriberInfo, string>();

/** Address, title and group of a handler, as they are written in its lines. */
export function labelsOf(info: SubscriberInfo): string {
  let written = labels.get(info);
  if (written === undefined) {
    const { name, title, group = '' } = info;
    written = pairs(DEFINITIONS.received.labels, [name, title, group]);
    labels.set(info, written);
  }
  return written;
}

const stateLabels = new WeakMap<SubscriberInfo, Map<string, string>>();

/** The same with its state. Kept, since a text that is made anew is read as a whole to be found in a map. */
function stateLabelsOf(info: SubscriberInfo, state: string): string {
  let known = stateLabels.get(info);
  if (known === undefined) stateLabels.set(info, (known = new Map()));
  let written = known.get(state);
  if (written === undefined) known.set(state, (written = `${labelsOf(info)},state="${state}"`));
  return written;
}
