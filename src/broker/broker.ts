import type { Cluster, Redis } from 'ioredis';
import { Builder, type Tap } from './build.ts';
import { clientFor, type Client } from '../publish/contracts.ts';
import { Consumer } from '../consume/consumer.ts';
import type { Contract } from '../api/contract.ts';
import type { AnySchema } from '../api/decorators.ts';
import type { DeadLetterBox } from '../consume/dead-letters.ts';
import type { DeadLetterAddress } from '../api/delivery.ts';
import { BrokerClosedError, SetupError } from '../errors.ts';
import type { Dependency, MessageContext, ValueOf } from '../api/context.ts';
import type { ErrorClass } from '../api/error-handlers.ts';
import type { Middleware } from '../api/middleware.ts';
import { assess, type BrokerStats, type Health, type SubscriberInfo } from './health.ts';
import { settledWithin } from '../internal/deferred.ts';
import { silentLogger, stderrLogger, type Logger } from '../internal/logger.ts';
import { openLine, type Line } from '../rpc/session.ts';
import { binaryFormat } from '../message/format.ts';
import type { OutputOf, Schema } from '../message/schema.ts';
import type { BrokerOptions, ConsumerAddress } from '../api/options.ts';
import { checkBrokerOptions, consumerSpec } from '../api/check.ts';
import { plan, type Plan } from './plan.ts';
import type { Publishing } from '../api/publishing.ts';
import type { PipelineOptions, PublishPipeline } from '../publish/pipeline.ts';
import type { RedisConnection } from '../transport/redis/connections.ts';
import { openTransport } from '../transport/open.ts';
import { RedisTransport } from '../transport/redis/redis-transport.ts';
import { Registrar, type Located } from './router.ts';
import { Subscriber } from './subscriber.ts';
import { OPEN_PATIENCE, Runner } from './runner.ts';
import type { Sender } from '../publish/sender.ts';
import type { Report, Transport } from '../transport/transport.ts';

/** Milliseconds that `stop` waits for the server to confirm what was sent last. */
const FLUSH_PATIENCE = 1_000;
/** Milliseconds that `ping` waits. */
const PING_PATIENCE = 3_000;

/**
 * Connects handler classes to Redis channels, lists and streams, and publishes to them.
 *
 * `connection` is a `redis://`, `rediss://` or `memory://` URL (default `redis://localhost:6379`),
 * ioredis options, `{ cluster: nodes }`, or the caller's ioredis client, never closed here. Throws
 * `SetupError` for options that make no sense; connecting is for `connect` and `start`.
 */
export class RedisBroker extends Registrar implements Publishing {
  readonly #connection: RedisConnection;
  readonly #options: BrokerOptions;
  readonly #logger: Logger;
  readonly #builder: Builder;
  readonly #runner: Runner;
  readonly #sender: Sender;

  #transport: Transport | undefined;
  #line: Line | undefined;
  #connecting: Promise<Line> | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #expired = 0;
  #isStarted = false;
  #isClosed = false;
  #elsewhere: (() => Transport) | undefined;
  readonly #consumers = new Set<Consumer>();
  readonly #overrides = new Map<Dependency, Dependency>();

  constructor(connection: RedisConnection = 'redis://localhost:6379', options: BrokerOptions = {}) {
    checkBrokerOptions(options);
    super(options);
    this.#connection = connection;
    this.#options = options;
    this.#logger = options.logger === false ? silentLogger : (options.logger ?? stderrLogger);
    this.#builder = new Builder({
      options,
      surroundings: { logger: this.#logger, broker: this, overrides: this.#overrides },
      line: () => this.#openLine(),
      reportFor: (name) => this.#reportFor(name),
      onExpired: () => this.#expired++,
      isLastResort: (planned, { name }) => this.#runner.isLastResort(planned, name),
    });
    this.#runner = new Runner({
      builder: this.#builder,
      logger: this.#logger,
      patience: options.gracefulTimeout ?? 15_000,
      reportFor: (name) => this.#reportFor(name),
      line: () => this.#line,
    });
    this.#sender = this.#builder.sender({}, options.prefix ?? '', () => this.middlewares);
    this.#transport = this.#openTransport();
    this.changed = () => this.#startLate();
  }

  /** The ioredis client that commands go over, as a way out. Throws `SetupError` on `memory://`. */
  get client(): Redis | Cluster {
    const transport = (this.#transport ??= this.#openTransport());
    if (transport instanceof RedisTransport) return transport.client;
    throw new SetupError('a broker on memory:// has no ioredis client');
  }

  get stats(): BrokerStats {
    const calls = this.#line?.calls;
    return {
      pendingCalls: calls?.pending ?? 0,
      lateAnswers: calls?.lateAnswers ?? 0,
      expiredRequests: this.#expired,
    };
  }

  /** Every subscriber that was registered here or in an included router. */
  get subscribers(): SubscriberInfo[] {
    return plan(this.collect()).flatMap(({ address, members }) =>
      members.map(({ subscriber: { name, spec } }) => ({
        address,
        title: name,
        description: spec.options.description,
      })),
    );
  }

  /** Connects without starting subscribers. Rejects with `ConnectionError`, which names the server and the cause. */
  async connect(): Promise<void> {
    await this.#stopping;
    this.#isClosed = false;
    await this.#open();
  }

  /**
   * Connects and starts every subscriber; resolves when all subscriptions are confirmed. Rejects
   * with `SetupError` or `ConnectionError`, and leaves nothing open then.
   */
  start(): Promise<void> {
    if (this.#isStarted && this.#stopping === undefined) return this.#starting ?? Promise.resolve();
    return (this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    }));
  }

  /**
   * Stops fetching, gives running handlers `gracefulTimeout`, then aborts their signals, returns
   * what was not started, and closes the connections. Safe to call at any time and any number of
   * times; never rejects.
   */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop(this.#starting).finally(() => {
      this.#stopping = undefined;
    }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** The first half of `stop`: no handler runs any more, and the connection stays for handlers of other brokers. @internal */
  async drain(): Promise<void> {
    this.#isStarted = false;
    this.#logTrouble(await this.#runner.stop());
  }

  /** Connects elsewhere from now on, or where it was to: for tests. @internal */
  async reroute(elsewhere: (() => Transport) | undefined, tap: Tap | undefined): Promise<void> {
    if (this.#line !== undefined || this.#connecting !== undefined)
      throw new SetupError('testBroker: the broker is connected already: call it before start');
    await this.#transport?.close();
    this.#transport = undefined;
    this.#elsewhere = elsewhere;
    this.#builder.tap = tap;
  }

  /** Whether the server answers PING within 3 s. Connects where nothing is connected. */
  async ping(): Promise<boolean> {
    try {
      const { transport } = await this.#openLine();
      return await settledWithin(transport.ping(), PING_PATIENCE);
    } catch {
      return false; // it cannot even be connected to, which is the answer
    }
  }

  /**
   * Whether this broker does its work, subscriber by subscriber: green, yellow or red. Takes 3 s at
   * most, connects nothing, and never rejects.
   */
  health(): Promise<Health> {
    return assess({
      transport: this.#line?.transport,
      plans: () => plan(this.collect()),
      vitalsOf: (subscriber) => this.#runner.vitalsOf(subscriber),
    });
  }

  /** Adds middleware inside the broker's others. Throws `SetupError` once the broker is connected. */
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

  /** Has handlers get what `replacement` makes where they ask for `dependency`: for tests. Disposing of the result undoes it. */
  override<D extends Dependency>(
    dependency: D,
    replacement: Dependency<ValueOf<D> | Promise<ValueOf<D>> | ReturnType<D>>,
  ): Disposable {
    const before = this.#overrides.get(dependency);
    this.#overrides.set(dependency, replacement);
    return {
      [Symbol.dispose]: () => {
        if (before === undefined) this.#overrides.delete(dependency);
        else this.#overrides.set(dependency, before);
      },
    };
  }

  readonly publish: Publishing['publish'] = (body: unknown, to: unknown, more?: object) =>
    this.#sender.publish(body, to, more);

  readonly request: Publishing['request'] = (body: unknown, to: unknown, more?: object) =>
    this.#sender.request(body, to, more);

  readonly publishBatch: Publishing['publishBatch'] = (bodies: readonly unknown[], to: unknown) =>
    this.#sender.publishBatch(bodies, to);

  readonly stream: Publishing['stream'] = (body: unknown, to: unknown, more?: object) =>
    this.#sender.stream(body, to, more);

  readonly gather: Publishing['gather'] = (body: unknown, to: unknown) =>
    this.#sender.gather(body, to);

  /** Collects messages for any addresses, to be sent in one round trip by its `send()`. */
  readonly pipeline = (options?: PipelineOptions): PublishPipeline =>
    this.#sender.pipeline(options);

  /** One typed function for each contract; `client`, without contracts, is the raw ioredis client. */
  clientFor<Contracts extends Readonly<Record<string, Contract>>>(
    contracts: Contracts,
  ): Client<Contracts> {
    return clientFor(this, contracts);
  }

  /** @internal */
  protected override sendersAbove(...args: Parameters<Registrar['sendersFor']>): Sender[] {
    return [this.#builder.sender(...args)];
  }

  /** The dead letters in a stream or list: to list, redrive and remove. */
  deadLetters(address: DeadLetterAddress): DeadLetterBox {
    return this.#builder.deadLetters(address, this.#options.prefix ?? '');
  }

  /**
   * Subscribes without a handler, also before `start`: messages are taken by `next({ timeout })` or
   * `for await`. Close it, or let `await using` do so; `stop` closes what is left.
   */
  async subscribe<S extends Schema = AnySchema>(
    address: ConsumerAddress<S>,
  ): Promise<Consumer<OutputOf<S>>> {
    const spec = consumerSpec(address);
    const subscriber = new Subscriber(spec, 'subscribe', () => undefined, []);
    const [planned] = plan([{ subscriber, path: [this] }]) as [Plan];
    const line = await this.#openLine();
    const endpoint = this.#builder.endpoint(planned, line);
    const pipeline = this.#builder.pipeline(planned, endpoint);
    const source = await line.transport.open(planned.source, this.#reportFor(planned.name));
    endpoint.attach(source);
    const consumer = new Consumer<OutputOf<S>>(source, pipeline, this.#logger, (closed) =>
      this.#consumers.delete(closed),
    );
    this.#consumers.add(consumer);
    return consumer;
  }

  #refuseLate(what: string): void {
    if (this.#line !== undefined)
      throw new SetupError(`${what} must be added before the broker connects`);
  }

  async #start(): Promise<void> {
    await this.#stopping;
    this.#isClosed = false;
    const plans = plan(this.collect().filter(({ subscriber }) => !subscriber.stopped));
    const line = await this.#open();
    if (this.#stopping !== undefined)
      throw new BrokerClosedError('the broker was stopped while it started');
    this.#isStarted = true;
    const results = await Promise.allSettled(
      plans.map((planned) => this.#runner.run(planned, line)),
    );
    if (this.#stopping !== undefined) {
      throw new BrokerClosedError('the broker was stopped while it started');
    }
    const failure = results.find((result) => result.status === 'rejected');
    if (failure === undefined) return;
    await this.#stop(undefined);
    throw failure.reason;
  }

  /** Starts what was registered after the start. Its errors have no caller: they are logged, and `started()` tells. */
  #startLate(): void {
    const line = this.#line;
    if (!this.#isStarted || this.#stopping !== undefined || line === undefined) return;
    const isNew = ({ subscriber }: Located): boolean =>
      !this.#runner.has(subscriber) && !subscriber.stopped;
    for (const planned of plan(this.collect().filter(isNew))) {
      this.#runner.run(planned, line).catch((error: unknown) => {
        this.#logger.error({ err: error }, `${planned.name} could not be started`);
      });
    }
  }

  /** `starting` is told to give up by the mere fact that we are stopping. */
  async #stop(starting: Promise<void> | undefined): Promise<void> {
    if (starting !== undefined) await settledWithin(starting, OPEN_PATIENCE);
    if (this.#connecting !== undefined) await settledWithin(this.#connecting, OPEN_PATIENCE);
    this.#isStarted = false;
    const closing = [...this.#consumers].map((consumer) => consumer.close());
    const [stopped, closed] = await Promise.all([this.#runner.stop(), Promise.allSettled(closing)]);
    const results = [...stopped, ...closed];
    const line = this.#line;
    this.#isClosed = true;
    this.#line = undefined;
    if (line !== undefined) {
      results.push(...(await Promise.allSettled([line.calls.close()])));
      await settledWithin(line.transport.flush(), FLUSH_PATIENCE);
    }
    results.push(...(await Promise.allSettled([this.#transport?.close()])));
    this.#transport = undefined;
    this.#logTrouble(results);
  }

  #logTrouble(results: readonly PromiseSettledResult<unknown>[]): void {
    for (const result of results) {
      if (result.status === 'rejected')
        this.#logger.error({ err: result.reason as unknown }, 'stopping met trouble');
    }
  }

  #openLine(): Line | Promise<Line> {
    if (this.#line !== undefined) return this.#line;
    if (this.#isClosed) throw new BrokerClosedError();
    return this.#open();
  }

  #open(): Promise<Line> {
    if (this.#line !== undefined) return Promise.resolve(this.#line);
    return (this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    }));
  }

  async #connect(): Promise<Line> {
    const transport = (this.#transport ??= this.#openTransport());
    try {
      await transport.connect();
    } catch (error) {
      this.#transport = undefined;
      await transport.close();
      throw error;
    }
    const { rpc = {}, format = binaryFormat } = this.#options;
    return (this.#line = openLine(transport, rpc, format, this.#reportFor('calls')));
  }

  #openTransport(): Transport {
    return this.#elsewhere?.() ?? openTransport(this.#connection, this.#reportFor('subscriptions'));
  }

  #reportFor(name: string): Report {
    return (problem, error, level = 'warn') => {
      this.#logger[level](error === undefined ? {} : { err: error }, `${name}: ${problem}`);
    };
  }
}
