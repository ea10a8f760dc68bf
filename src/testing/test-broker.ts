import { destinationOf, isContract, templateOf, type Contract } from '../api/contract.ts';
import type { Destination } from '../api/destination.ts';
import type { RedisBroker } from '../broker/broker.ts';
import type { Subscriber } from '../broker/subscriber.ts';
import { SetupError } from '../errors.ts';
import { milliseconds } from '../internal/checks.ts';
import { passTime, watchTime } from '../internal/clock.ts';
import { randomId } from '../internal/ids.ts';
import { targetOf } from '../transport/address.ts';
import { templateMatcher } from '../transport/template.ts';
import { MemoryTransport } from '../transport/memory/memory-transport.ts';
import { Link } from './link.ts';
import { Records, type HandledCall, type PublishedMessage } from './records.ts';

/** After this many turns of the event loop without activity, no message is on its way. */
const QUIET = 5;

// oxlint-disable-next-line typescript/no-explicit-any -- any function: its parameters and result are inferred
type Handler = (...args: any[]) => unknown;

/** The names of a class's methods. */
type MethodOf<T> = { [K in keyof T]: T[K] extends Handler ? K : never }[keyof T];

/** The recorded calls of a handler, with the types of its parameter and result. */
type CallsOf<H> = H extends (...args: infer A) => infer R
  ? HandledCall<A extends [infer Body, ...unknown[]] ? Body : unknown, Awaited<R>>[]
  : never;

/**
 * Starts brokers in memory instead of on their Redis, until the result is disposed of. Publishing,
 * calls, retries, dead letters, acknowledgement and pending entries work as on Redis. Brokers of one
 * call share one memory. Rejects with `SetupError` for a broker that is already connected, and with
 * the errors of `broker.start`.
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

/** What a test of brokers on their own Redis has: time and connections are Redis's. */
export type RedisTestBroker = Pick<
  TestBroker,
  'handled' | 'published' | 'dropNextReply' | 'stop' | typeof Symbol.asyncDispose
>;

/**
 * Starts brokers on their own Redis, and records what they handle and send, until the result is
 * disposed of: for tests of what a server does, with the same `handled` and `published` as of
 * {@link testBroker}. Rejects as that does.
 *
 * `await using test = await testBrokerOnRedis(broker);`
 */
export async function testBrokerOnRedis(...brokers: RedisBroker[]): Promise<RedisTestBroker> {
  if (brokers.length === 0) throw new SetupError('testBrokerOnRedis: expected a broker, got none');
  const test = new TestBroker(brokers);
  try {
    await test.startOnRedis();
  } catch (error) {
    await test.stop();
    throw error;
  }
  return test;
}

/** Brokers under test: records what they handle and send, moves time forward, and causes faults. */
export class TestBroker {
  readonly #brokers: readonly RedisBroker[];
  readonly #links = new Map<RedisBroker, Link>();
  /** Those that are started by this test. */
  readonly #rerouted = new Set<RedisBroker>();
  readonly #records = new Records();
  readonly #memory = `memory://redstart-testing-${randomId(12)}`;
  #releaseClock: (() => void) | undefined;

  /** @internal */
  constructor(brokers: readonly RedisBroker[]) {
    this.#brokers = brokers;
  }

  /** @internal */
  async start(): Promise<void> {
    this.#releaseClock = watchTime();
    for (const broker of this.#brokers) {
      const link = new Link();
      await broker.reroute(
        (options) => new MemoryTransport(this.#memory, { ...options, gate: link }),
        this.#records.middleware,
      );
      this.#links.set(broker, link);
      this.#rerouted.add(broker);
    }
    for (const broker of this.#brokers) await broker.start();
  }

  /** Starts them where they are. @internal */
  async startOnRedis(): Promise<void> {
    for (const broker of this.#brokers) {
      await broker.reroute(undefined, this.#records.middleware);
      this.#rerouted.add(broker);
    }
    for (const broker of this.#brokers) await broker.start();
  }

  /** Stops the brokers, and restores the connections that they were made with. */
  async stop(): Promise<void> {
    await this.reconnect();
    for (const broker of this.#rerouted) {
      await broker.stop();
      await broker.reroute(undefined, undefined);
    }
    this.#rerouted.clear();
    this.#links.clear();
    this.#releaseClock?.();
    this.#releaseClock = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * The calls of a handler that have ended, in the order in which they ended. Name the handler by its
   * class and method, by its function, or by what `broker.subscriber` returned. Throws `SetupError`
   * if it is not registered.
   */
  handled<T extends object, K extends MethodOf<T>>(
    type: abstract new (...args: never[]) => T,
    method: K,
  ): CallsOf<T[K]>;
  handled(subscriber: Subscriber): HandledCall[];
  handled<H extends Handler>(handler: H): CallsOf<H>;
  handled(given: unknown, method?: PropertyKey): HandledCall[] {
    const matches = ({ instance, method: own, original }: Subscriber['origin']): boolean => {
      if (method === undefined) return original === given;
      return typeof given === 'function' && instance instanceof given && own === method;
    };
    const known = this.#brokers.flatMap((broker) => broker.declarations());
    const wanted = new Set(
      known
        .map(({ subscriber }) => subscriber)
        .filter((subscriber) => subscriber === given || matches(subscriber.origin)),
    );
    if (wanted.size === 0) {
      const { name = String(given) } = given as { name?: string };
      throw new SetupError(
        `handled: no handler ${method === undefined ? name : `${name}.${String(method)}`} is registered: give a class and its method, a handler function, or a subscriber`,
      );
    }
    return this.#records.handledBy((info) => [...wanted].some((subscriber) => subscriber.is(info)));
  }

  /**
   * The messages sent to a channel, list or stream or by a contract, answers included, in order; not those that
   * were not sent because one with their `id` was. Delayed ones are there at once, with their `delay` or `at`. The
   * name is without the broker's prefix, as in `publish`. By a contract whose channel has parameters: those with any
   * values of them.
   */
  published(to: string | Destination | Contract): readonly PublishedMessage[] {
    const destination = isContract(to) ? destinationOf(to) : to;
    const { kind, name } = targetOf(
      typeof destination === 'string' ? { channel: destination } : destination,
      'published',
    );
    const template = isContract(to) ? templateOf(to, 'published') : undefined;
    const fits = this.#brokers.map(({ shared: { prefix = '' } }) => {
      if (template === undefined) return (sent: string): boolean => sent === prefix + name;
      const match = templateMatcher(prefix, template, false);
      return (sent: string): boolean => match(sent) !== undefined;
    });
    return this.#records.sentTo(kind, (sent) => fits.some((fit) => fit(sent)));
  }

  /**
   * Resolves when no handler runs and no message is on its way to one. Does not wait for timers,
   * such as the pause before a retry.
   */
  async idle(): Promise<void> {
    let seen = -1;
    for (let quiet = 0; quiet < QUIET; quiet++) {
      await this.#records.idle();
      await turn();
      const activity = this.#activity();
      if (activity !== seen) quiet = -1;
      seen = activity;
    }
  }

  /**
   * Moves redstart's clock forward by this many milliseconds, without waiting: timeouts of calls,
   * pauses before retries, idle times of pending entries. Timers that handlers set stay as they are.
   * Rejects with `SetupError` for anything but a number, 0 or more.
   */
  async advance(ms: number): Promise<void> {
    milliseconds(ms, 'ms', 'advance');
    await this.#settle();
    await passTime(ms, () => this.#settle());
    await this.#settle();
  }

  /** Drops the next answer, so that its call times out. Two calls drop the next two. */
  dropNextReply(): void {
    this.#records.drops++;
  }

  /** Breaks the connections of all brokers, or of one. Until `reconnect`, what they send waits, and channels receive nothing. */
  disconnect(broker?: RedisBroker): void {
    for (const link of this.#linksOf(broker)) link.cut();
  }

  /** Ends {@link disconnect}, for all brokers or for one. */
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

  /** Like {@link idle}, but does not wait for handlers: they may wait for the clock to move. */
  async #settle(): Promise<void> {
    for (let i = 0; i < QUIET; i++) await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
