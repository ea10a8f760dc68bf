import type { AckPolicy } from '../api/ack-policy.ts';
import type { FindErrorHandler } from '../api/error-handlers.ts';
import type { Observers } from '../api/observer.ts';
import type { Publishing, Sending } from '../api/publishing.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { BrokerClosedError, NoReplyError } from '../errors.ts';
import { monotonicTime } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Logger } from '../internal/logger.ts';
import type { Codec } from '../message/codec.ts';
import type { MessageFormat } from '../message/format.ts';
import { AGAIN_KEY, CALL_KEY, GATHER_KEY, type ReceivedMessage } from '../message/message.ts';
import type { ParentMessage } from '../rpc/parent.ts';
import type { Replier } from '../rpc/responder/replier.ts';
import type { Session } from '../rpc/session.ts';
import type { ChannelPattern, Target } from '../transport/address.ts';
import type { Delivery, Report, Source, SourceOptions } from '../transport/source.ts';
import { BatchSource } from './batch-source.ts';
import { Cancellation } from './cancellation.ts';
import { Completion } from './completion.ts';
import { Consumer } from './consumer.ts';
import type { ContextHost, HandlerContext } from './context.ts';
import { DeadLetters } from './dead-letters.ts';
import { Dispatcher, isAsyncIterable, type Attempt, type Route } from './dispatcher.ts';
import type { Overrides } from './inject.ts';
import { failed, ok, type Outcome } from './outcome.ts';
import { Settler, type Retry, type Settlement } from './settlement.ts';
import { Subscription, type Vitals } from './subscription.ts';

/** Milliseconds that handlers have after their signal was aborted. */
const LAST_CHANCE = 1_000;

/** One source to open and how its messages are handled: plain data. */
export interface ReadingPlan {
  /** For logs: `list 'orders' (Orders.place)`. */
  readonly name: string;
  /** `list 'orders'` */
  readonly address: string;
  readonly source: SourceOptions;
  /** Channels only. */
  readonly pattern: ChannelPattern | undefined;
  readonly noReply: boolean;
  readonly ackPolicy: AckPolicy;
  readonly retry: Retry | undefined;
  readonly deadLetter: Target | undefined;
  readonly concurrency: number;
  /** Messages for one call of a batch handler, at most; undefined for one by one. */
  readonly batch: number | undefined;
  /** Messages fetched at once; undefined: as many as the handler's pace suggests. */
  readonly fetch: number | undefined;
  /** Milliseconds that a batch may wait to be full. */
  readonly maxWait: number;
}

/** What a broker lends to a subscriber that runs. */
export interface Environment {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides;
  readonly observers: Observers;
  /** Who it is about before a handler was chosen: the first that shares the reader. */
  readonly subscriber: SubscriberInfo;
  readonly codec: Codec;
  readonly format: MessageFormat;
  readonly replier: Replier;
  readonly routes: readonly Route[];
  /** For failures of messages that no handler was chosen for. */
  readonly errorHandlers: FindErrorHandler | undefined;
  /** What a handler sends with, through the subscriber's own middleware; `parent` is the message that is being handled. */
  readonly sending: (parent: ParentMessage) => Sending;
  /** See {@link Completion}. */
  readonly isLastResort: (delivery: Delivery) => boolean | Promise<boolean>;
  readonly onExpired: () => void;
  readonly report: Report;
}

/** One subscriber that runs: deliveries → handler → answer → acknowledgement. */
export class RunningSubscriber implements ContextHost {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides;
  readonly subscriber: SubscriberInfo;
  readonly #plan: ReadingPlan;
  readonly #session: Session;
  readonly #environment: Environment;
  readonly #observers: Observers;
  readonly #dispatcher: Dispatcher;
  readonly #cancellation: Cancellation;
  #settler!: Settler;
  #completion!: Completion;
  #subscription: Subscription | undefined;
  #stopping: Promise<void> | undefined;

  constructor(plan: ReadingPlan, session: Session, environment: Environment) {
    this.logger = environment.logger;
    this.broker = environment.broker;
    this.overrides = environment.overrides;
    this.subscriber = environment.subscriber;
    this.#observers = environment.observers;
    this.#plan = plan;
    this.#session = session;
    this.#environment = environment;
    this.#cancellation = new Cancellation(session.cancellations);
    const { source, pattern, address } = plan;
    const { codec, format, routes, errorHandlers } = environment;
    this.#dispatcher = new Dispatcher({
      address,
      source: pattern?.isPattern === true ? undefined : ({ [source.kind]: source.name } as never),
      match: pattern?.match,
      codec,
      format,
      routes,
      errorHandlers,
      host: this,
    });
  }

  /** Opens the source and begins to read. Resolves when the server has confirmed the subscription. */
  async start(): Promise<void> {
    const { concurrency, batch, fetch, maxWait } = this.#plan;
    const opened = await this.#open();
    const source = maxWait === 0 ? opened : new BatchSource(opened, maxWait);
    this.#attach(source);
    const { transport } = this.#session;
    this.#subscription = new Subscription({
      source,
      concurrency,
      batch: batch ?? 1,
      fetch,
      process: batch === undefined ? this.#process.bind(this) : this.#processBatch.bind(this),
      adviceOn: (error) => transport.adviceOn(error),
      report: this.#environment.report,
    });
    this.#subscription.start();
  }

  /** Opens the source for messages that are taken by hand. */
  async consume<Body>(onClose: (consumer: Consumer) => void): Promise<Consumer<Body>> {
    const source = await this.#open();
    this.#attach(source);
    return new Consumer<Body>(source, this.#dispatcher, this.logger, onClose);
  }

  /** Undefined before the source is open. */
  get vitals(): Vitals | undefined {
    return this.#subscription?.vitals;
  }

  /** Starts no further handler, also not for messages that are fetched already. */
  halt(): void {
    this.#subscription?.halt();
  }

  /** Stops reading, gives handlers `patience` milliseconds, then aborts their signals, then closes. Once. */
  stop(patience: number): Promise<void> {
    return (this.#stopping ??= this.#stop(patience));
  }

  sending(parent: ParentMessage): Sending {
    return this.#environment.sending(parent);
  }

  settle(context: HandlerContext, how: Settlement): Promise<void> | undefined {
    if (context.settlement !== undefined) return undefined;
    context.settlement = how;
    let last: Promise<void> | undefined;
    context.deliveries.forEach((delivery, i) => {
      const message = context.messages[i] as ReceivedMessage;
      last = this.#settler.settle(context.subscriber, message, delivery, how);
    });
    return last;
  }

  watch(context: HandlerContext, controller: AbortController): void {
    this.#cancellation.watch(context, controller);
  }

  /** One message: open → admit → handle → finish. Synchronous where all of it is. */
  #process([delivery]: Delivery[]): Promise<void> | undefined {
    const attempt = this.#begin(delivery as Delivery);
    const { message } = attempt;
    const { replyTo } = message;
    const call = replyTo === undefined ? undefined : message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return this.#handle(attempt);

    const { answerLog, cancellations } = this.#session;
    // A caller that lost its connection asks again: what runs here or was answered is not handled twice.
    if (message.header(AGAIN_KEY) !== undefined && answerLog.knows(replyTo, call)) return undefined;
    if (message.header(GATHER_KEY) !== undefined && !this.#plan.noReply)
      cancellations.announce(message);
    const done = this.#handle(attempt);
    if (done === undefined) return undefined;
    answerLog.begin(replyTo, call);
    return done.then(() => answerLog.end(replyTo, call));
  }

  async #processBatch(deliveries: Delivery[]): Promise<void> {
    const batch = deliveries.map((delivery) => this.#begin(delivery));
    let acknowledged: Promise<void> | undefined;
    for (const { delivery } of batch)
      acknowledged = this.#settler.ackFirst(delivery) ?? acknowledged;
    await acknowledged;
    const run = async (): Promise<void> => {
      await this.#dispatcher.handleBatch(batch);
      for (const attempt of batch) await this.#finish(attempt, attempt.outcome as Outcome);
    };
    const observers = this.#observers.active;
    if (observers === undefined) return run();
    const startedAt = monotonicTime();
    for (const attempt of batch) attempt.startedAt = startedAt;
    const messages = batch.map(({ message }) => message);
    return observers.handle({ subscriber: this.subscriber, messages }, run);
  }

  /** Reads the message and decides whether it is to be handled. */
  #begin(delivery: Delivery): Attempt {
    const { noReply, name } = this.#plan;
    const attempt = this.#dispatcher.open(delivery);
    attempt.outcome ??= this.#settler.exhausted(delivery);
    const { subscriber } = attempt.context;
    this.#observers.active?.emit('received', { subscriber, message: attempt.message });
    if (noReply && attempt.outcome?.kind !== 'skipped')
      this.#completion.decline(attempt, new NoReplyError(`${name} never answers (noReply)`));
    return attempt;
  }

  #handle(attempt: Attempt): Promise<void> | undefined {
    // With `ack-first`, Redis has forgotten the message before its handler runs.
    const acknowledged = this.#settler.ackFirst(attempt.delivery);
    if (acknowledged !== undefined) return acknowledged.then(() => this.#run(attempt));
    return this.#run(attempt);
  }

  #run(attempt: Attempt): Promise<void> | undefined {
    const observers = this.#observers.active;
    if (observers === undefined) return this.#runNow(attempt);
    attempt.startedAt = monotonicTime();
    const { subscriber } = attempt.context;
    const event = { subscriber, messages: [attempt.message] };
    return observers.handle(event, () => this.#runNow(attempt));
  }

  #runNow(attempt: Attempt): Promise<void> | undefined {
    const outcome = this.#dispatcher.handle(attempt);
    if (outcome instanceof Promise) return outcome.then((later) => this.#conclude(attempt, later));
    return this.#conclude(attempt, outcome);
  }

  /** A handler that answers with a stream is done when the stream is. */
  #conclude(attempt: Attempt, outcome: Outcome): Promise<void> | undefined {
    if (outcome.kind !== 'ok' || !isAsyncIterable(outcome.result))
      return this.#finish(attempt, outcome);
    attempt.isAnswered = true;
    const { context, route } = attempt;
    return this.#session.streamAnswers
      .answer(context, outcome.result, this.#environment.replier, route?.validateReply)
      .then(
        () => this.#finish(attempt, ok(undefined)),
        (error: unknown) => this.#finish(attempt, failed(error)),
      );
  }

  #finish(attempt: Attempt, outcome: Outcome): Promise<void> | undefined {
    this.#cancellation.release(attempt.context);
    const observers = this.#observers.active;
    if (observers !== undefined) emitHandled(observers, attempt, outcome);
    return this.#completion.finish(attempt, outcome);
  }

  #open(): Promise<Source> {
    return this.#session.transport.open(this.#plan.source, this.#environment.report);
  }

  /** From now on messages of this source are settled and answered here. */
  #attach(source: Source): void {
    const { name, source: from, ackPolicy, retry, deadLetter, noReply } = this.#plan;
    const { format, replier, isLastResort, onExpired } = this.#environment;
    const group = from.kind === 'stream' ? from.group : undefined;
    const log = this.#log.bind(this);
    this.#settler = new Settler({
      source,
      policy: ackPolicy,
      retry,
      deadLetters:
        deadLetter && new DeadLetters(this.#session.transport, deadLetter, format, group),
      observers: this.#observers,
      log,
    });
    this.#completion = new Completion({
      name,
      noReply,
      replier,
      settler: this.#settler,
      observers: this.#observers,
      isLastResort,
      onExpired,
      log,
    });
  }

  async #stop(patience: number): Promise<void> {
    const { name } = this.#plan;
    const subscription = this.#subscription;
    if (subscription === undefined) return;
    const isDone = await subscription.stop(patience);
    if (!isDone) {
      this.logger.warn(`${name}: handlers still run after ${patience} ms, their signals abort`);
      this.#cancellation.abortAll(new BrokerClosedError('the broker is stopping'));
    }
    const ended = await subscription.close(isDone ? 0 : LAST_CHANCE);
    if (!ended && !isDone)
      this.logger.error(`${name}: handlers ignored their signal and were left behind`);
    await settledWithin(this.#completion.finished(), LAST_CHANCE);
  }

  #log({ correlationId, id }: ReceivedMessage, error: unknown, what = 'the handler failed'): void {
    this.logger.error({ err: error, correlationId, id }, `${this.#plan.name}: ${what}`);
  }
}

function emitHandled(observers: Observers, attempt: Attempt, outcome: Outcome): void {
  const { context, message, startedAt } = attempt;
  const failure = outcome.kind === 'failed' ? outcome : undefined;
  observers.emit('handled', {
    subscriber: context.subscriber,
    message,
    outcome: outcome.kind,
    result: outcome.kind === 'ok' ? outcome.result : undefined,
    error: failure?.error,
    stage: failure?.stage,
    // Of one that began before anybody observed, the time is not known.
    milliseconds: startedAt === 0 ? 0 : monotonicTime() - startedAt,
  });
}
