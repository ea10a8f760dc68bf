import type { RedisBroker } from '../broker/broker.ts';
import { SetupError } from '../errors.ts';
import { longMilliseconds } from '../internal/checks.ts';
import { passTime, watchTime } from '../internal/clock.ts';
import { randomId } from '../internal/ids.ts';
import type { Destination } from '../api/publishing.ts';
import type { Subscriber } from '../broker/subscriber.ts';
import { targetOf } from '../transport/address.ts';
import { MemoryTransport } from '../transport/memory/memory-transport.ts';
import { Link } from './link.ts';
import { Records, type HandledCall, type PublishedMessage } from './records.ts';

/** Turns of the event loop without anything happening, after which nothing is on its way. */
const QUIET = 5;

// oxlint-disable-next-line typescript/no-explicit-any -- any function: what it takes and gives is inferred
type Handler = (...args: any[]) => unknown;

/** The names of a class's methods. */
type MethodOf<T> = { [K in keyof T]: T[K] extends Handler ? K : never }[keyof T];

/** The calls of a handler, typed by it. */
type CallsOf<H> = H extends (...args: infer A) => infer R
  ? HandledCall<A extends [infer Body, ...unknown[]] ? Body : unknown, Awaited<R>>[]
  : never;

/**
 * Starts brokers on a memory of their own, whatever they were to connect to, until the result is
 * disposed of: publishing, calls, retries, dead letters, acknowledgement and pending entries are as
 * on Redis. Several brokers share one memory. Rejects with `SetupError` for a broker that is
 * connected already, and with whatever `broker.start` rejects with.
 *
 * `await using test = await testBroker(broker);`
 */
export async function testBroker(...brokers: RedisBroker[]): Promise<TestBroker> {
  if (brokers.length === 0) throw new SetupError('testBroker: expected a broker, got none');
  const test = new TestBroker(brokers);
  try {
    await test.start();
  } catch (error) {
    await test.stop();
    throw error;
  }
  return test;
}

/** Brokers under test: what they handled and sent, time that jumps, and faults on demand. */
export class TestBroker {
  readonly #brokers: readonly RedisBroker[];
  readonly #links = new Map<RedisBroker, Link>();
  readonly #records = new Records();
  readonly #memory = `memory://redstart-testing-${randomId(12)}`;
  #letTimeBe: (() => void) | undefined;

  /** @internal */
  constructor(brokers: readonly RedisBroker[]) {
    this.#brokers = brokers;
  }

  /** @internal */
  async start(): Promise<void> {
    this.#letTimeBe = watchTime();
    for (const broker of this.#brokers) {
      const link = new Link();
      await broker.reroute(() => new MemoryTransport(this.#memory, { gate: link }), this.#records);
      this.#links.set(broker, link);
    }
    for (const broker of this.#brokers) await broker.start();
  }

  /** Stops the brokers, and gives them back the connections that they were made with. */
  async stop(): Promise<void> {
    await this.reconnect();
    for (const broker of this.#links.keys()) {
      await broker.stop();
      await broker.reroute(undefined, undefined);
    }
    this.#links.clear();
    this.#letTimeBe?.();
    this.#letTimeBe = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * The calls of a handler that have ended, in that order: of a method, of a function that was
   * given to `broker.subscriber`, or of what that returned. Throws `SetupError` for one that
   * is not registered.
   */
  handled<T extends object, K extends MethodOf<T>>(
    type: abstract new (...args: never[]) => T,
    method: K,
  ): CallsOf<T[K]>;
  handled(subscriber: Subscriber): HandledCall[];
  handled<H extends Handler>(handler: H): CallsOf<H>;
  handled(given: unknown, method?: PropertyKey): HandledCall[] {
    const isMeant = ({ instance, method: own, original }: Subscriber['origin']): boolean => {
      if (method === undefined) return original === given;
      return typeof given === 'function' && instance instanceof given && own === method;
    };
    const known = this.#brokers.flatMap((broker) => broker.declarations());
    const meant = new Set(
      known
        .map(({ subscriber }) => subscriber)
        .filter((subscriber) => subscriber === given || isMeant(subscriber.origin)),
    );
    if (meant.size === 0) {
      const { name = String(given) } = given as { name?: string };
      throw new SetupError(
        `handled: no handler ${method === undefined ? name : `${name}.${String(method)}`} is registered: give a class and its method, a handler function, or a subscriber`,
      );
    }
    return this.#records.handledBy((subscriber) => meant.has(subscriber));
  }

  /** What was sent to a channel, list or stream, answers included, in order. The name is as in `publish`, without the broker's prefix. */
  published(to: string | Destination): readonly PublishedMessage[] {
    const { kind, name } = targetOf(typeof to === 'string' ? { channel: to } : to, 'published');
    const names = this.#brokers.map((broker) => (broker.shared.prefix ?? '') + name);
    return this.#records.sentTo(kind, names);
  }

  /** Resolves when no handler runs, and nothing is on its way to one. What waits for time to pass is not waited for. */
  async idle(): Promise<void> {
    let seen = -1;
    for (let quiet = 0; quiet < QUIET; quiet++) {
      await this.#records.atRest();
      await turn();
      const activity = this.#activity();
      if (activity !== seen) quiet = -1;
      seen = activity;
    }
  }

  /**
   * Makes milliseconds pass at once, for all that redstart waits for: timeouts of calls, pauses before
   * retries, entries of dead consumers. Timers of handlers are not touched.
   */
  async advance(ms: number): Promise<void> {
    longMilliseconds(ms, 'ms', 'advance');
    await this.#settle();
    await passTime(ms, () => this.#settle());
    await this.#settle();
  }

  /** Loses the next answer: its caller meets its timeout. Twice called, the next two. */
  dropNextReply(): void {
    this.#records.drops++;
  }

  /** Breaks the connections of all brokers, or of one. Until `reconnect` what they send waits, and channels are not heard. */
  disconnect(broker?: RedisBroker): void {
    for (const link of this.#linksOf(broker)) link.cut();
  }

  async reconnect(broker?: RedisBroker): Promise<void> {
    for (const link of this.#linksOf(broker)) link.restore();
  }

  #linksOf(broker: RedisBroker | undefined): Iterable<Link> {
    if (broker === undefined) return this.#links.values();
    const link = this.#links.get(broker);
    if (link === undefined) throw new SetupError('this broker is not under test here');
    return [link];
  }

  #activity(): number {
    let sum = 0;
    for (const { activity } of this.#links.values()) sum += activity;
    return sum;
  }

  /** Like {@link idle}, but handlers may go on: they may be waiting for the time that is to pass. */
  async #settle(): Promise<void> {
    for (let i = 0; i < QUIET; i++) await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
