import type { Observers } from '../api/observer.ts';
import type { Publishing } from '../api/publishing.ts';
import { BrokerClosedError, NoMatchingHandlerError, NoReplyError } from '../errors.ts';
import { monotonicTime } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Logger } from '../internal/logger.ts';
import { AGAIN_KEY, CALL_KEY, GATHER_KEY } from '../message/message.ts';
import type { Session } from '../rpc/session.ts';
import type { Delivery, Source } from '../transport/source.ts';
import type { Admission } from './admission.ts';
import { BatchSource } from './batch-source.ts';
import { Breaker } from './breaker.ts';
import { Cancellation } from './cancellation.ts';
import type { Completion } from './completion.ts';
import { takeByHand } from './by-hand.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import type { Chosen, ContextHost, HandlerContext } from './context.ts';
import { counted } from './counted.ts';
import { isAsyncIterable } from '../internal/promises.ts';
import { Dispatcher, type Attempt, type Routes } from './dispatcher.ts';
import { emitHandled } from './handled-event.ts';
import { InLanes } from './in-lanes.ts';
import type { Overrides } from './inject.ts';
import { SKIPPED, failed, ok, type Outcome } from './outcome.ts';
import { open, openAll } from './opening.ts';
import type { Environment, ReadingPlan } from './reading-plan.ts';
import { settleByWord } from './own-word.ts';
import { rescue } from './rescue.ts';
import { emitBreaker, emitReceived, messageLog, sourceReport } from './reports.ts';
import { partsFor } from './parts.ts';
import type { Log, Settlement, Settler } from './settlement.ts';
import { Subscription } from './subscription.ts';
import { itemsWithinTime, stageOf, withinTime, type TimeLimit } from './time-limit.ts';
import { LEFT, type Vitals } from './vitals.ts';

/** Milliseconds that handlers have after their signal was aborted. */
const LAST_CHANCE = 1_000;

/** One subscriber that runs: deliveries → handler → answer → acknowledgement. */
export class RunningSubscriber implements ContextHost {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides;
  readonly session: Session;
  readonly #plan: ReadingPlan;
  readonly #environment: Environment;
  readonly #observers: Observers;
  readonly #dispatcher: Dispatcher;
  readonly #cancellation: Cancellation;
  readonly #breaker: Breaker | undefined;
  #settler!: Settler;
  #completion!: Completion;
  /** Undefined where no id of a message matters: on channels. */
  #admission: Admission | undefined;
  #subscription: Subscription | undefined;
  /** Undefined without `ordered`. */
  #inLanes: InLanes | undefined;
  /** Channels that were paused and whose handlers still run. */
  readonly #ending = new Set<Promise<unknown>>();
  readonly #isChannel: boolean;
  readonly #limit: TimeLimit | undefined;
  readonly #log: Log;
  #concurrency: number;
  #isPaused = false;
  #stopping: Promise<void> | undefined;

  constructor(plan: ReadingPlan, session: Session, environment: Environment) {
    this.logger = environment.logger;
    this.broker = environment.broker;
    this.overrides = environment.overrides;
    this.#observers = environment.observers;
    this.#plan = plan;
    this.session = session;
    this.#isChannel = plan.source.kind === 'channel';
    this.#concurrency = plan.concurrency;
    this.#environment = environment;
    this.#log = messageLog(environment.logger, environment.name);
    this.#cancellation = new Cancellation(session.cancellations);
    const { source, pattern, address, pause, timeout } = plan;
    const grace = Math.min(environment.gracefulTimeout, timeout ?? 0);
    this.#limit = timeout === undefined ? undefined : { timeout, grace };
    this.#breaker =
      pause &&
      new Breaker(pause, environment.report, (state) => {
        emitBreaker(environment.observers, this.#dispatcher, state);
        this.#subscription?.breaker(state);
      });
    const { codec, format, routes } = environment;
    this.#dispatcher = new Dispatcher({
      address,
      source: pattern?.isPattern === true ? undefined : ({ [source.kind]: source.name } as never),
      match: pattern?.match,
      group: source.kind === 'stream' ? source.group : undefined,
      copiesBytes: source.kind === 'list' && source.reliable,
      codec,
      format,
      routes,
      host: this,
      clock: session.transport.timed.clock,
    });
  }

  /** Opens the source and begins to read, unless it is paused. Resolves when the server has confirmed the subscription. */
  start(isPaused = false): Promise<void> {
    this.#isPaused = isPaused;
    if (isPaused && this.#isChannel) return Promise.resolve();
    return this.#read();
  }

  async #read(): Promise<void> {
    if (this.#isChannel && !this.#plan.noReply) this.session.answerLog.mayBeCalled = true;
    const { batch, fetch, maxWait, source: from } = this.#plan;
    const opened = await this.#open();
    if (this.#stopping !== undefined) {
      await opened.close([]); // whoever stopped it waits no longer
      throw new BrokerClosedError(`${this.#environment.name()} was stopped while it started`);
    }
    const source = maxWait === 0 ? opened : new BatchSource(opened, maxWait);
    this.#attach(source);
    const { report } = this.#environment;
    const [dispatcher, settler, log] = [this.#dispatcher, this.#settler, this.#log];
    const guard = { source, dispatcher, settler, log, report };
    const handle = batch === undefined ? this.#process.bind(this) : this.#processBatch.bind(this);
    const process = counted(handle, opened);
    const subscription = new Subscription({
      source,
      concurrency: this.#concurrency,
      batch: batch ?? 1,
      fetch,
      isShared: from.kind === 'list' || (from.kind === 'stream' && from.group !== undefined),
      lanes: this.#inLanes?.lanes,
      process: this.#inLanes?.process(process) ?? process,
      rescue: (lost, error) => rescue(lost, error, guard),
      adviceOn: (error) => this.session.transport.adviceOn(error),
      report,
    });
    this.#subscription = subscription;
    if (this.#isPaused) void subscription.pause();
    subscription.start();
  }

  /** Opens the source for messages that are taken by hand. */
  async consume<Body>(onClose: (consumer: Consumer) => void): Promise<Consumer<Body>> {
    const source = await this.#open();
    this.#attach(source);
    const [settler, log] = [this.#settler, this.#log];
    const { onExpired, report } = this.#environment;
    const take: ConsumerOptions['take'] = (delivery) =>
      takeByHand(delivery, source, this.#dispatcher, settler, onExpired, log);
    const adviceOn = (error: unknown): string | undefined => this.session.transport.adviceOn(error);
    const stop = (consumer: Consumer): void => {
      settler.stop();
      onClose(consumer);
    };
    const at = this.#plan.source;
    return new Consumer<Body>({ source, at, take, adviceOn, report, onClose: stop });
  }

  /** What a message belongs to until a handler is chosen. */
  get first(): Chosen {
    return this.#dispatcher.first;
  }

  /** Other handlers share the reader from now on. */
  set routes(routes: Routes) {
    this.#dispatcher.change(routes);
  }

  /** Waits up to `patience` milliseconds until the handlers that run now have ended. */
  async passed(patience: number): Promise<void> {
    const passed = this.#subscription?.passed();
    if (passed === undefined || (await settledWithin(passed, patience))) return;
    this.logger.warn(
      `${this.#environment.name()}: handlers still run, ${patience} ms after a stop`,
    );
  }

  /** Undefined before the source is open. */
  get vitals(): Vitals | undefined {
    const vitals = this.#subscription?.vitals;
    if (vitals === undefined) return this.#isPaused ? LEFT : undefined;
    const state = this.#isPaused ? 'paused' : vitals.state;
    return { ...vitals, state, unburied: this.#settler.unburied };
  }

  /** Starts no further handler, also not for messages that are fetched already. */
  halt(): void {
    this.#subscription?.halt();
  }

  /** Stops reading until `resume`; handlers that run go on. Resolves when nothing more begins. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    const subscription = this.#subscription;
    if (subscription === undefined || !this.#isChannel) return subscription?.pause();
    // Unsubscribed, so that callers hear at once that nobody is there. What has arrived is handled.
    this.#subscription = undefined;
    const { gracefulTimeout } = this.#environment;
    const ended = subscription.stop(gracefulTimeout).then(() => subscription.close(0));
    this.#ending.add(ended);
    void ended.finally(() => this.#ending.delete(ended));
    await subscription.sourceStopped;
  }

  async resume(): Promise<void> {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    // In lanes nothing new begins beside what is still handled since before the pause.
    if (this.#inLanes !== undefined) await Promise.all(this.#ending);
    if (this.#isChannel) await this.#read();
    else this.#subscription?.resume();
  }

  /** Messages handled at once, from now on. */
  set concurrency(calls: number) {
    this.#concurrency = calls;
    if (this.#subscription !== undefined) this.#subscription.concurrency = calls;
  }

  /** Stops reading, gives handlers `patience` milliseconds, then aborts their signals, then closes. Once. */
  stop(patience: number): Promise<void> {
    return (this.#stopping ??= this.#stop(patience));
  }

  settle(context: HandlerContext, how: Settlement, after?: number): Promise<void> | undefined {
    return settleByWord(this.#settler, context, how, after);
  }

  watch(context: HandlerContext, controller: AbortController): void {
    this.#cancellation.watch(context, controller);
  }

  /** One message: open → admit → handle → finish. Synchronous where all of it is. */
  #process([delivery]: Delivery[]): Promise<void> | undefined {
    const opened = open(this.#dispatcher, delivery as Delivery);
    return opened instanceof Promise ? opened.then(this.#processOne) : this.#processOne(opened);
  }

  readonly #processOne = (attempt: Attempt): Promise<void> | undefined => {
    this.#begin(attempt);
    const admitted = this.#admission?.admit(attempt);
    if (admitted !== undefined) return this.#handleAdmitted(attempt, admitted);
    const { message } = attempt;
    const { replyTo } = message;
    const call = replyTo === undefined ? undefined : message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return this.#handle(attempt);

    const { answerLog, cancellations } = this.session;
    if (!this.#plan.noReply) answerLog.expectQuestions();
    // A caller that lost its connection asks again: what runs here or was answered is not handled twice.
    if (message.header(AGAIN_KEY) !== undefined && answerLog.knows(replyTo, call))
      return this.#finish(attempt, SKIPPED);
    if (message.header(GATHER_KEY) !== undefined) {
      attempt.isAnswered = !this.#environment.answersAll(attempt.delivery);
      if (!attempt.isAnswered) cancellations.announce(message);
    }
    const done = this.#handle(attempt);
    return done && answerLog.during(done, replyTo, call);
  };

  /** What has failed before comes alone, so that the message which spoils a batch is found. */
  async #processBatch(deliveries: Delivery[]): Promise<void> {
    if (this.#plan.retry === undefined) return this.#processTogether(deliveries);
    for (const one of deliveries) if (one.count > 1) await this.#processTogether([one]);
    const fresh = deliveries.filter(({ count }) => count <= 1);
    if (fresh.length > 0) await this.#processTogether(fresh);
  }

  async #processTogether(deliveries: Delivery[]): Promise<void> {
    const opened = await openAll(this.#dispatcher, deliveries);
    for (const attempt of opened) this.#begin(attempt);
    const batch = (await this.#admission?.admitted(opened)) ?? opened;
    if (batch.length === 0) return;
    let acknowledged: Promise<void> | undefined;
    for (const { delivery } of batch)
      acknowledged = this.#settler.ackFirst(delivery) ?? acknowledged;
    await acknowledged;
    const run = async (): Promise<void> => {
      await this.#dispatcher.handleBatch(batch, this.#limit);
      for (const attempt of batch) {
        const finished = this.#finish(attempt, attempt.outcome as Outcome);
        if (finished !== undefined) await finished;
      }
    };
    const observers = this.#observers.active;
    if (observers === undefined) return run();
    const startedAt = monotonicTime();
    for (const attempt of batch) attempt.startedAt = startedAt;
    const messages = batch.map(({ message }) => message);
    return observers.handle({ subscriber: this.first.subscriber, messages }, run);
  }

  /** Decides whether a message that was opened is to be handled. */
  #begin(attempt: Attempt): void {
    const { name } = this.#environment;
    attempt.outcome ??= this.#settler.exhausted(attempt.delivery);
    if (this.#admission?.isAskedFirst(attempt) !== true) emitReceived(this.#observers, attempt);
    if (attempt.outcome?.kind === 'skipped')
      this.#completion.decline(attempt, new NoMatchingHandlerError(this.#plan.address));
    else if (this.#plan.noReply)
      this.#completion.decline(attempt, new NoReplyError(`${name()} never answers (noReply)`));
  }

  async #handleAdmitted(attempt: Attempt, admitted: Promise<boolean>): Promise<void> {
    if (await admitted) await this.#admission?.run(attempt, () => this.#handle(attempt));
  }

  #handle(attempt: Attempt): Promise<void> | undefined {
    // With `ack-first`, Redis has forgotten the message before its handler runs.
    const acknowledged = this.#settler.ackFirst(attempt.delivery);
    if (acknowledged !== undefined) return acknowledged.then(() => this.#run(attempt));
    return this.#run(attempt);
  }

  #run(attempt: Attempt): Promise<void> | undefined {
    if (this.#observers.for('handled') !== undefined) attempt.startedAt = monotonicTime();
    const observers = this.#observers.for('handle');
    if (observers === undefined) return this.#runNow(attempt);
    const { subscriber } = attempt.context;
    const event = { subscriber, messages: [attempt.message] };
    return observers.handle(event, () => this.#runNow(attempt));
  }

  #runNow(attempt: Attempt): Promise<void> | undefined {
    const outcome = this.#dispatcher.handle(attempt);
    if (!(outcome instanceof Promise)) return this.#conclude(attempt, outcome);
    const limit = this.#limit;
    if (limit !== undefined) this.#inLanes?.runs(attempt.delivery, outcome);
    return withinTime(attempt.context, outcome, limit).then(
      (later) => this.#conclude(attempt, later),
      (error: unknown) => this.#finish(attempt, failed(error)),
    );
  }

  /** A handler that answers with a stream is done when the stream is. */
  #conclude(attempt: Attempt, outcome: Outcome): Promise<void> | undefined {
    if (outcome.kind !== 'ok' || !isAsyncIterable(outcome.result))
      return this.#finish(attempt, outcome);
    attempt.isAnswered = true;
    const { context, route, replier } = attempt;
    const { result } = outcome;
    const limit = this.#limit;
    const left = (ended: Promise<unknown>): void => this.#inLanes?.runs(attempt.delivery, ended);
    const items = limit === undefined ? result : itemsWithinTime(context, result, limit, left);
    const answered = this.session.streamAnswers.answer(
      ...([context, items, replier, route?.validateReply] as const),
    );
    return answered.then(
      () => this.#finish(attempt, ok(undefined)),
      (error: unknown) => this.#finish(attempt, failed(error, stageOf(error))),
    );
  }

  #finish(attempt: Attempt, outcome: Outcome): Promise<void> | undefined {
    this.#cancellation.release(attempt.context);
    const observers = this.#observers.for('handled');
    if (observers !== undefined) emitHandled(observers, attempt, outcome);
    return this.#completion.finish(attempt, outcome);
  }

  #open(): Promise<Source> {
    const report = sourceReport(this.#environment, this.#dispatcher);
    const { source, ordered, needsAck } = this.#plan;
    if (ordered) this.#inLanes = new InLanes(this.#environment.format, needsAck, report);
    return this.session.transport.open(source, report, this.#inLanes?.lanes);
  }

  /** From now on messages of this source are settled and answered here. */
  #attach(source: Source): void {
    const { settler, completion, admission } = partsFor(
      source,
      this.#plan,
      this.#environment,
      this.session,
      this.#log,
      this.#breaker,
    );
    this.#settler = settler;
    this.#completion = completion;
    this.#admission = admission;
  }

  async #stop(patience: number): Promise<void> {
    const subscription = this.#subscription;
    await settledWithin(Promise.all(this.#ending), patience);
    if (subscription === undefined) return;
    const name = this.#environment.name();
    this.#settler.stop();
    this.#breaker?.stop();
    const isDone = await subscription.stop(patience);
    if (!isDone) {
      this.logger.warn(`${name}: handlers still run after ${patience} ms, their signals abort`);
      this.#cancellation.abortAll(new BrokerClosedError('the broker is stopping'));
    }
    const ended = await subscription.close(isDone ? 0 : LAST_CHANCE);
    if (!ended && !isDone)
      this.logger.error(`${name}: handlers ignored their signal and still run`);
    await settledWithin(this.#completion.finished(), LAST_CHANCE);
  }
}
