import { checkBrokerOptions, consumerSpec } from '../api/check.ts';
import { checkObserver } from '../api/option-checks.ts';
import type { Dependency, DependencyValue, MessageContext } from '../api/context.ts';
import type { Contract } from '../api/contract.ts';
import type { AnySchema, ConsumerAddressFor } from '../api/handlers.ts';
import { deadLetterTarget, type DeadLetterAddress } from '../api/delivery.ts';
import type { ErrorClass } from '../api/error-handlers.ts';
import type { Middleware } from '../api/middleware.ts';
import type { BrokerOptions } from '../api/options.ts';
import { Observers, type Observer } from '../api/observer.ts';
import type { ContractClient } from '../api/sending.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import type { Consumer } from '../consume/consumer.ts';
import { DeadLetterBox } from '../consume/dead-letter-box.ts';
import { replaceIn } from '../consume/inject.ts';
import { BrokerClosedError, RedstartError, SetupError } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import { guardedLogger, silentLogger, stderrLogger, type Logger } from '../internal/logger.ts';
import type { OutputOf, Schema } from '../message/schema.ts';
import { clientFor } from '../publish/contracts.ts';
import type { Sender } from '../publish/sender.ts';
import { openSession } from '../rpc/session.ts';
import { openTransport } from '../transport/open.ts';
import { timingsOption, type TimingsOption } from '../transport/timings.ts';
import type { RedisClient, RedisConnection } from '../transport/redis/connections.ts';
import { RedisTransport } from '../transport/redis/redis-transport.ts';
import type { Report } from '../transport/source.ts';
import type { TimedOptions } from '../transport/timed.ts';
import type { Transport } from '../transport/transport.ts';
import { Connection } from './connection.ts';
import { describeAll, type Description } from './description.ts';
import { FailureWatch } from './failure-watch.ts';
import { Fleet } from './fleet.ts';
import { healthOf, type BrokerStats, type Health } from './health.ts';
import { Lifecycle } from './lifecycle.ts';
import { codecAt, plan, type Plan } from './plan.ts';
import type { Place } from './place.ts';
import { Repeats } from './repeats.ts';
import { reporter } from './reporter.ts';
import { OPEN_PATIENCE, Runner } from './runner.ts';
import { Senders } from './senders.ts';
import { SendingBroker } from './sending-broker.ts';
import { StreamGroups, streamNamed } from './stream-groups.ts';
import { Subscriber, type Declaration, type Inherited } from './subscriber.ts';

type Elsewhere = (options: TimedOptions & { readonly report: Report }) => Transport;

/**
 * Connects handler classes to Redis channels, lists and streams, and publishes to them.
 *
 * `connection` is a `redis://`, `rediss://` or `memory://` URL (default `redis://localhost:6379`),
 * ioredis options, `{ cluster: nodes }`, or your own ioredis client, which is never closed. Throws
 * `SetupError` for wrong options. It connects at `connect`, at `start` or with the first message.
 */
export class RedisBroker extends SendingBroker {
  readonly #logger: Logger;
  readonly #connection: Connection;
  readonly #observers: Observers;
  readonly #senders: Senders;
  readonly #runner: Runner;
  /** @internal */
  protected readonly sender: Sender;
  /** @internal */
  protected readonly repeats: Repeats;
  /** Before every name; of a router's subscribers the router's follows. */
  readonly prefix: string;
  /** All processes with the prefix of this broker: asks for their state, pauses and resumes subscribers. */
  readonly fleet: Fleet;
  readonly #consumers = new Set<Consumer>();
  readonly #overrides = new Map<Dependency, Dependency>();
  /** Those of `clientFor`. */
  readonly #contracts = new Set<Contract>();
  readonly #lifecycle = new Lifecycle('broker', {
    start: (isWanted) => this.#start(isWanted),
    stop: (starting) => this.#stop(starting),
  });
  #expired = 0;
  #refused = 0;
  /** Makes another transport than the given connection's: for tests. */
  #elsewhere: Elsewhere | undefined;

  constructor(connection: RedisConnection = 'redis://localhost:6379', options: BrokerOptions = {}) {
    checkBrokerOptions(options);
    super(options);
    const {
      logger,
      rpc = {},
      gracefulTimeout = 15_000,
      prefix = '',
      observers = [],
      control = false,
      connections,
    } = options;
    const { timeout = 30_000, inboxPrefix } = rpc;
    const { [timingsOption]: timings } = options as BrokerOptions & TimingsOption;
    if (logger === false) this.#logger = silentLogger;
    else this.#logger = logger === undefined ? stderrLogger : guardedLogger(logger);
    this.prefix = prefix;
    this.#observers = new Observers((method, error) => {
      this.#logger.warn(
        { err: error },
        `an observer's '${method}' failed; further failures of it are not logged`,
      );
    });
    for (const observer of observers) this.#observers.add(observer);
    this.#senders = new Senders({
      ...options,
      timeout,
      observers: this.#observers,
      session: () => this.#connection.get(),
    });
    this.#connection = new Connection({
      transport: () => {
        const report = this.reportFor('subscriptions');
        const timed = { prefix, onRefused: (count: number) => void (this.#refused += count) };
        const made = this.#elsewhere?.({ report, ...timed });
        const ours = { ...timed, connections, inboxPrefix };
        return made ?? openTransport(connection, report, timings, ours);
      },
      session: (transport) => {
        transport.onConnection((state) => this.#observers.active?.emit('connection', { state }));
        this.fleet.listen(transport);
        this.repeats.open(transport.timed);
        return openSession(transport, rpc, this.#senders.format, this.reportFor('calls'));
      },
    });
    this.#runner = new Runner({
      logger: this.#logger,
      broker: this,
      overrides: this.#overrides,
      observers: this.#observers,
      senders: this.#senders,
      prefix,
      patience: gracefulTimeout,
      reportFor: (name) => this.reportFor(name),
      onExpired: () => this.#expired++,
      session: () => this.#connection.session,
    });
    this.sender = this.#senders.sender(prefix, () => this.middlewares);
    this.repeats = new Repeats({
      prefix,
      sender: () => this.sender,
      timed: async () => (await this.#connection.get()).transport.timed,
      report: this.reportFor('every'),
    });
    this.fleet = new Fleet({
      broker: this,
      control,
      report: this.reportFor('control'),
      watch: new FailureWatch(this.#observers),
      transport: this.#transport,
      health: () => this.#health(false),
    });
    void this.#connection.transport; // a mistake in `connection` is found here
  }

  readonly #transport = async () => (await this.#connection.get()).transport;

  /** The ioredis client that sends the commands, for your own commands. Throws `SetupError` on `memory://`. */
  get client(): RedisClient {
    const { transport } = this.#connection;
    if (transport instanceof RedisTransport) return transport.client;
    throw new SetupError('a broker on memory:// has no ioredis client');
  }

  get stats(): BrokerStats {
    const calls = this.#connection.session?.calls;
    return {
      pendingCalls: calls?.pending ?? 0,
      lateAnswers: calls?.lateAnswers ?? 0,
      expiredRequests: this.#expired,
      refusedDelayed: this.#refused,
    };
  }

  /** Every subscriber that was registered here or in an included router. */
  get subscribers(): SubscriberInfo[] {
    return plan(this.declarations()).flatMap(({ members }) => members.map(({ info }) => info));
  }

  /**
   * Everything that is registered and declared, as plain data: subscribers with their addresses,
   * schemas and options, publishers, contracts. Complete before `start`; connects nothing.
   */
  describe(): Description {
    const plans = plan(this.declarations());
    return describeAll(plans, this.declaredPublishers(), [...this.#contracts], this.prefix);
  }

  /** Connects without starting subscribers. Rejects with `ConnectionError`, which names the server and the cause. */
  async connect(): Promise<void> {
    await this.#lifecycle.ready();
    this.#connection.reopen();
    await this.#connection.open();
  }

  /**
   * Connects and starts every subscriber, also those registered meanwhile; resolves when all
   * subscriptions are confirmed. If `stop` runs, it starts after that. Rejects with
   * `SetupError` or `ConnectionError`, and then leaves nothing open; with `BrokerClosedError` if `stop` is
   * called meanwhile.
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /**
   * Stops fetching, waits `gracefulTimeout` for running handlers, then aborts their signals, gives back
   * messages that were not begun, and closes the connections. You may call it at any time and any number of
   * times. It never rejects. The last call of `start` and `stop` decides.
   */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** The first half of `stop`: resolves when no handler runs any more. Publishing and calls still work. Never rejects. To take work again, call `stop` and `start`. */
  async drain(): Promise<void> {
    this.#logTrouble(await this.#runner.stop());
  }

  /** Connects elsewhere from now on, or again to the given connection: for tests. @internal */
  async reroute(
    elsewhere: Elsewhere | undefined,
    innermost: Middleware | undefined,
  ): Promise<void> {
    const { session, connecting } = this.#connection;
    if (session !== undefined || connecting !== undefined)
      throw new SetupError('testBroker: the broker is connected already: call it before start');
    await this.#connection.discard();
    this.#elsewhere = elsewhere;
    this.#senders.innermost = innermost;
  }

  /** Whether the server answers PING within 3 s. Connects if nothing is connected. */
  ping(): Promise<boolean> {
    return this.#connection.ping();
  }

  /**
   * Whether this broker and each subscriber work: `live`, `ready`, and green, yellow or red. Takes at most
   * 3 s, never connects, and never rejects.
   */
  health(): Promise<Health> {
    return this.#health(true);
  }

  #health(asks: boolean): Promise<Health> {
    const plans = () => plan(this.declarations());
    const vitalsOf = this.#runner.vitalsOf.bind(this.#runner);
    const { session } = this.#connection;
    return healthOf(session?.transport, this.#runner.isTaking, plans, vitalsOf, asks);
  }

  /** Adds middleware inside the middleware that the broker has. Throws `SetupError` once the broker is connected. */
  override use(middleware: Middleware): void {
    this.#refuseLate('use: middleware');
    super.use(middleware);
  }

  /** As on a router. Throws `SetupError` once the broker is connected. */
  override onError<E extends Error>(
    type: ErrorClass<E>,
    handle: (error: E, ctx: MessageContext) => unknown,
  ): void {
    this.#refuseLate('onError: handlers');
    super.onError(type, handle);
  }

  /**
   * Adds an observer, which sees the whole life of messages, before or after `start`. The result
   * removes it. Throws `SetupError` if it is not an object of functions.
   */
  observe(observer: Observer): () => void {
    checkObserver(observer, 'observe');
    return this.#observers.add(observer);
  }

  /** For tests: handlers that ask for `dependency` get what `replacement` makes. Disposing of the result undoes it. */
  override<D extends Dependency>(
    dependency: D,
    replacement: Dependency<DependencyValue<D> | Promise<DependencyValue<D>> | ReturnType<D>>,
  ): Disposable {
    return replaceIn(this.#overrides, dependency, replacement);
  }

  /** One typed function for each contract; `client`, without contracts, is the raw ioredis client. */
  clientFor<Contracts extends Readonly<Record<string, Contract>>>(
    contracts: Contracts,
  ): ContractClient<Contracts> {
    const client = clientFor(this, contracts);
    for (const contract of Object.values(contracts)) this.#contracts.add(contract);
    return client;
  }

  /** @internal */
  override prepare(declare: (inherited: Inherited) => Declaration[]): () => void {
    return this.#runner.prepare(() => declare(this.handedDown()));
  }

  /** @internal */
  override placesOf(): Place[] {
    return [{ senders: this.#senders, prefix: this.prefix, middlewares: this.middlewares }];
  }

  /** The dead letters in a stream or list: lists, redrives and removes them. */
  deadLetters(address: DeadLetterAddress): DeadLetterBox {
    return new DeadLetterBox(deadLetterTarget(address, this.prefix, 'deadLetters'), {
      transport: this.#transport,
      codecAt: (origin) => codecAt(origin, this.declarations()) ?? this.#senders.codec,
      owns: ({ name }) => name.startsWith(this.prefix),
    });
  }

  /** The groups of a stream: lists them, moves them to other entries, removes them. */
  groups(stream: string): StreamGroups {
    return new StreamGroups(streamNamed(stream, this.prefix), this.#transport);
  }

  /**
   * Subscribes without a handler, also before `start`: messages are taken by `next({ timeout })` or
   * `for await`. Close it, or use `await using`; `stop` closes the rest. Rejects with
   * `BrokerClosedError` after a `stop`, and if `stop` is called meanwhile.
   */
  async subscribe<S extends Schema = AnySchema, const A = unknown>(
    address: ConsumerAddressFor<A, S>,
  ): Promise<Consumer<OutputOf<S>>> {
    const { options, ...rest } = consumerSpec(address);
    const spec = { ...rest, options: { ...options, ackPolicy: 'manual' as const } };
    const subscriber = new Subscriber(spec, 'subscribe', () => undefined, []);
    const [planned] = plan([{ subscriber, inherited: this.handedDown() }]) as [Plan];
    const { stops } = this.#lifecycle;
    if (this.#lifecycle.isStopping) throw new BrokerClosedError();
    const session = await this.#connection.get();
    const opening = this.#runner.consume<OutputOf<S>>(planned, session, (closed) =>
      this.#consumers.delete(closed),
    );
    // One that was stopped while it opened fails with whatever the connection says of its end.
    const [opened] = await Promise.allSettled([opening]);
    if (stops !== this.#lifecycle.stops) {
      if (opened.status === 'fulfilled') await opened.value.close();
      throw new BrokerClosedError();
    }
    const consumer = await opening;
    this.#consumers.add(consumer);
    return consumer;
  }

  #refuseLate(what: string): void {
    if (this.#connection.session !== undefined)
      throw new SetupError(`${what} must be added before the broker connects`);
  }

  async #start(isWanted: () => boolean): Promise<void> {
    this.#connection.reopen();
    try {
      await this.#runner.start(this.declarations(), async () => {
        const session = await this.#connection.open();
        if (!isWanted()) throw new BrokerClosedError('the broker was stopped while it started');
        return session;
      });
    } catch (error) {
      // Where it is being stopped, whoever stops it closes everything, and the connection fails.
      if (!isWanted() && !(error instanceof RedstartError)) return;
      if (isWanted()) await this.#close();
      throw error;
    }
  }

  /** A start that is under way ends by itself when it sees that the broker is stopping. */
  async #stop(starting: Promise<void> | undefined): Promise<void> {
    const { connecting } = this.#connection;
    if (starting !== undefined) await settledWithin(starting, OPEN_PATIENCE);
    if (connecting !== undefined) await settledWithin(connecting, OPEN_PATIENCE);
    await this.#close();
  }

  async #close(): Promise<void> {
    this.fleet.close();
    this.repeats.close();
    const closing = [...this.#consumers].map((consumer) => consumer.close());
    const [stopped, closed] = await Promise.all([this.#runner.stop(), Promise.allSettled(closing)]);
    this.#logTrouble([...stopped, ...closed, ...(await this.#connection.close())]);
  }

  #logTrouble(results: readonly PromiseSettledResult<unknown>[]): void {
    for (const result of results) {
      if (result.status === 'rejected')
        this.#logger.error({ err: result.reason as unknown }, 'an error occurred while stopping');
    }
  }

  /** @internal */
  reportFor(name: string): Report {
    return reporter(this.#observers, this.#logger, name);
  }
}
