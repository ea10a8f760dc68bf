import { clearTimer, setTimer, unixTime } from '../internal/clock.ts';
import {
  BrokerClosedError,
  CancelledError,
  NoMatchingHandlerError,
  NoReplyError,
  RpcError,
} from '../errors.ts';
import type { Settlement } from './acknowledge.ts';
import type { ContextHost, MessageContext, Surroundings } from '../api/context.ts';
import { failed, ok, type Outcome } from './outcome.ts';
import { Settler, type SettlerOptions } from './settlement.ts';
import { isAsyncIterable, type Pipeline, type Work } from './dispatcher.ts';
import { deferred, settledWithin, type Deferred } from '../internal/deferred.ts';
import { AGAIN_KEY, CALL_KEY, GATHER_KEY, type Message } from '../message/message.ts';
import { bodyOf, Response } from '../message/response.ts';
import type { AnswerLog } from '../rpc/responder/answer-log.ts';
import { Replier } from '../rpc/responder/replier.ts';
import type { StreamAnswers } from '../rpc/responder/stream-answers.ts';
import type { TakenCalls } from '../rpc/responder/cancellations.ts';
import type { Sender } from '../publish/sender.ts';
import { Subscription, type Vitals } from './subscription.ts';
import type { Delivery, Report, Source } from '../transport/transport.ts';

/** Replies and acknowledgements that may be under way before the next message has to wait. */
const MAX_SETTLING = 1_024;

/** Milliseconds that handlers have after their signal was aborted. */
const LAST_CHANCE = 1_000;

export interface EndpointOptions {
  /** For logs: `list 'orders' (Orders.place)`. */
  readonly name: string;
  readonly surroundings: Surroundings;
  /** Sends what handlers publish, with the subscriber's own middleware. */
  readonly sender: Sender;
  readonly replier: Replier;
  readonly takenCalls: TakenCalls;
  readonly answers: AnswerLog;
  readonly streams: StreamAnswers;
  /** Told of a request that came too late to be handled. */
  readonly onExpired: () => void;
  readonly noReply: boolean;
  readonly settling: Omit<SettlerOptions, 'log'>;
  readonly concurrency: number;
  /** Messages for one call of a batch handler, at most; undefined for one by one. */
  readonly batch: number | undefined;
  readonly fetch: number | undefined;
  /** Whether nobody but this subscriber could answer a message here: then the caller is told that nobody will. */
  readonly isLastResort: (delivery: Delivery) => boolean | Promise<boolean>;
  readonly adviceOn: (error: unknown) => string | undefined;
  readonly report: Report;
}

/** A handler that asked for its signal. */
interface Watch {
  readonly controller: AbortController;
  timer: NodeJS.Timeout | undefined;
}

/** One running subscriber: deliveries → pipeline → reply → publishers → acknowledgement. */
export class Endpoint implements ContextHost {
  readonly #options: EndpointOptions;
  #pipeline!: Pipeline;
  #source!: Source;
  #settler!: Settler;
  #subscription: Subscription | undefined;
  #stopping: Promise<void> | undefined;
  /** Of handlers that asked for their signal and still run. */
  readonly #watched = new Map<MessageContext, Watch>();
  /** Messages whose handler is done and whose reply or acknowledgement is not. */
  #settling = 0;
  #settled: Deferred<void> | undefined;

  readonly surroundings: Surroundings;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.surroundings = options.surroundings;
  }

  /** Settles what somebody else reads from `source`. */
  attach(source: Source): void {
    const { settling } = this.#options;
    this.#source = source;
    this.#settler = new Settler({ ...settling, log: this.#log.bind(this) }, source);
  }

  /** Begins to read. */
  run(source: Source, pipeline: Pipeline): void {
    const { concurrency, batch, fetch } = this.#options;
    this.attach(source);
    this.#pipeline = pipeline;
    this.#subscription = new Subscription({
      source,
      concurrency,
      batch: batch ?? 1,
      fetch,
      process: batch === undefined ? this.#processOne.bind(this) : this.#processBatch.bind(this),
      adviceOn: this.#options.adviceOn,
      report: this.#options.report,
    });
    this.#subscription.start();
  }

  /** Undefined before `run`. */
  get vitals(): Vitals | undefined {
    return this.#subscription?.vitals;
  }

  /** Starts no further handler, also not one whose message has been fetched. */
  halt(): void {
    this.#subscription?.halt();
  }

  /** Stops reading, gives handlers `patience` milliseconds, then aborts their signals, then closes. Once. */
  stop(patience: number): Promise<void> {
    return (this.#stopping ??= this.#stop(patience));
  }

  async #stop(patience: number): Promise<void> {
    const subscription = this.#subscription;
    if (subscription === undefined) return;
    const isDone = await subscription.stop(patience);
    if (!isDone) {
      this.surroundings.logger.warn(
        `${this.#options.name}: handlers still run after ${patience} ms, their signals abort`,
      );
      const reason = new BrokerClosedError('the broker is stopping');
      for (const { controller } of this.#watched.values()) controller.abort(reason);
    }
    const ended = await subscription.close(isDone ? 0 : LAST_CHANCE);
    if (!ended && !isDone) {
      this.surroundings.logger.error(
        `${this.#options.name}: handlers ignored their signal and were left behind`,
      );
    }
    await settledWithin(this.#everythingSettled(), LAST_CHANCE);
  }

  publish(
    context: MessageContext,
    ...[body, to, more]: [body: unknown, to: unknown, more?: object]
  ): Promise<unknown> {
    return this.#options.sender.dispatch(body, to, context.message.correlationId, more);
  }

  settle(context: MessageContext, how: Settlement): Promise<void> | undefined {
    if (context.settlement !== undefined) return undefined;
    context.settlement = how;
    let last: Promise<void> | undefined;
    context.deliveries.forEach((delivery, i) => {
      last = this.#settler.tell(context.messages[i] as Message, delivery, how);
    });
    return last;
  }

  watch(context: MessageContext, controller: AbortController): void {
    const watch: Watch = { controller, timer: undefined };
    this.#watched.set(context, watch);
    // A batch has many callers, and no one of them can call it off.
    if (context.deadline === undefined && !Replier.isCall(context.message)) return;
    if (context.messages.length > 1) return;
    this.#options.takenCalls.take(context.message, controller);
    if (context.deadline === undefined) return;
    const left = Math.min(context.deadline - unixTime(), 2_147_483_647);
    watch.timer = setTimer(
      () => controller.abort(new CancelledError('the caller waits no longer')),
      left,
    );
  }

  #unwatch(context: MessageContext): void {
    const watch = this.#watched.get(context);
    if (watch === undefined) return;
    this.#watched.delete(context);
    clearTimer(watch.timer);
    this.#options.takenCalls.release(context.message);
  }

  #processOne([delivery]: Delivery[]): Promise<void> | undefined {
    const work = this.#open(delivery as Delivery);
    const { replyTo } = work.message;
    const call = replyTo === undefined ? undefined : work.message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return this.#handle(work);

    const { answers } = this.#options;
    if (work.message.header(AGAIN_KEY) !== undefined && answers.knows(replyTo, call))
      return undefined;
    if (work.message.header(GATHER_KEY) !== undefined && !this.#options.noReply) {
      this.#options.takenCalls.introduce(work.message);
    }
    const done = this.#handle(work);
    if (done === undefined) return undefined;
    answers.begin(replyTo, call);
    return done.then(() => answers.end(replyTo, call));
  }

  #handle(work: Work): Promise<void> | undefined {
    const acked = this.#ackFirst([work]);
    if (acked !== undefined) return acked.then(() => this.#run(work));
    return this.#run(work);
  }

  #run(work: Work): Promise<void> | undefined {
    const outcome = this.#pipeline.handle(work);
    if (outcome instanceof Promise) return outcome.then((later) => this.#conclude(work, later));
    return this.#conclude(work, outcome);
  }

  /** With `ack-first`, Redis has forgotten the entries before their handler runs. */
  #ackFirst(batch: readonly Work[]): Promise<void> | undefined {
    if (this.#options.settling.policy !== 'ack-first') return undefined;
    let last: Promise<void> | undefined;
    for (const { delivery } of batch) last = this.#source.ack(delivery) ?? last;
    return last;
  }

  /** A handler that answers with a stream is done when the stream is. */
  #conclude(work: Work, outcome: Outcome): Promise<void> | undefined {
    if (outcome.kind !== 'ok' || !isAsyncIterable(outcome.result))
      return this.#finish(work, outcome);
    work.isAnswered = true;
    const { streams, replier } = this.#options;
    const { context } = work;
    return streams
      .answer(context, outcome.result, replier, context.validateItem)
      .then((ended) => this.#finish(work, ended));
  }

  async #processBatch(deliveries: Delivery[]): Promise<void> {
    const batch = deliveries.map((delivery) => this.#open(delivery));
    await this.#ackFirst(batch);
    await this.#pipeline.handleBatch(batch);
    for (const work of batch) await this.#finish(work, work.outcome as Outcome);
  }

  #open(delivery: Delivery): Work {
    const { noReply } = this.#options;
    const work = this.#pipeline.open(delivery);
    work.outcome ??= this.#settler.exhausted(delivery);
    if (noReply && work.outcome?.kind !== 'skipped') {
      this.#decline(work, new NoReplyError(`${this.#options.name} never answers (noReply)`));
    }
    return work;
  }

  /** Decides on an outcome: log, reply, publish on, acknowledge. Never throws; the promise, if any, holds back the next message. */
  #finish(work: Work, outcome: Outcome): Promise<void> | undefined {
    const { context } = work;
    if (this.#watched.size > 0) this.#unwatch(context);
    if (outcome.kind === 'expired') this.#options.onExpired();
    if (outcome.kind === 'failed' && !(outcome.error instanceof RpcError))
      this.#log(work.message, outcome.error);
    const [final, replied] = this.#reply(work, outcome);
    const publishes =
      context.onward.length > 0 && final.kind === 'ok' && bodyOf(final.result) !== undefined;
    if (replied === undefined && !publishes) return this.#settle(work, final);
    this.#settling++;
    if (publishes) void this.#publishThenEnd(work, final.result, replied);
    else void this.#endWhenReplied(work, final, replied as Promise<unknown>);
    if (this.#settling < MAX_SETTLING) return undefined;
    this.#settled ??= deferred();
    return this.#settled.promise;
  }

  /** Acknowledges when the reply is out: a crash between the two repeats work, and loses none. */
  #endWhenReplied(work: Work, outcome: Outcome, replied: Promise<unknown>): Promise<void> {
    return replied.then(
      (receivers) => {
        if (receivers === 0) return this.#keep(work).then(() => this.#end(work, outcome));
        return this.#end(work, outcome);
      },
      (error: unknown) => {
        this.#log(work.message, error, 'the reply could not be sent');
        return this.#end(work, outcome);
      },
    );
  }

  async #publishThenEnd(
    work: Work,
    result: unknown,
    replied: Promise<unknown> | undefined,
  ): Promise<void> {
    try {
      if ((await replied) === 0) await this.#keep(work);
    } catch (error) {
      this.#log(work.message, error, 'the reply could not be sent');
    }
    let final = ok(result);
    try {
      await this.#publishOn(work, result);
    } catch (error) {
      this.#log(work.message, error, 'the result could not be published');
      final = failed(error);
    }
    await this.#end(work, final);
  }

  /** As the policy has it, unless the handler has settled it. Holds back the next message only where a dead letter is on its way. */
  #settle(work: Work, final: Outcome): Promise<void> | undefined {
    const { context, message, delivery } = work;
    if (context.settlement !== undefined) return undefined;
    const how = this.#settler.decide(final, message, delivery);
    const error = final.kind === 'failed' ? final.error : undefined;
    const told = this.#settler.tell(message, delivery, how, error);
    return how === 'reject' ? told : undefined;
  }

  #end(work: Work, outcome: Outcome): Promise<void> | undefined {
    const told = this.#source.settles ? this.#settle(work, outcome) : undefined;
    if (told !== undefined) return told.then(() => this.#oneSettled());
    this.#oneSettled();
    return undefined;
  }

  async #keep(work: Work): Promise<void> {
    try {
      await this.#options.replier.keep(work.message);
    } catch (error) {
      this.#log(work.message, error, 'the answer reached nobody, and could not be kept');
    }
  }

  #oneSettled(): void {
    if (--this.#settling === 0 || this.#settling === MAX_SETTLING >> 1) {
      this.#settled?.resolve();
      this.#settled = undefined;
    }
  }

  async #everythingSettled(): Promise<void> {
    while (this.#settling > 0) {
      this.#settled ??= deferred();
      await this.#settled.promise;
    }
  }

  #reply(work: Work, outcome: Outcome): [outcome: Outcome, replied: Promise<unknown> | undefined] {
    const { replier, noReply, name } = this.#options;
    const { message, context } = work;
    // Nobody waits any more, and what a handler returns on being aborted is no answer.
    if (context.isCancelled) return [outcome, undefined];
    // A nacked message comes again, and its caller is answered then.
    if (
      work.isAnswered === true ||
      noReply ||
      message.replyTo === undefined ||
      context.settlement === 'nack' ||
      this.#settler.retries(outcome, message, work.delivery)
    )
      return [outcome, undefined];
    if (outcome.kind === 'failed' && outcome.error instanceof NoMatchingHandlerError) {
      this.#decline(work, outcome.error);
      return [outcome, undefined];
    }
    const isRejected = context.settlement === 'reject' && outcome.kind === 'ok';
    const answer = isRejected ? failed(new NoReplyError(`${name} rejected the message`)) : outcome;
    try {
      return [outcome, replier.reply(message, answer)];
    } catch (error) {
      // The result cannot be sent, which the caller is told instead.
      this.#log(work.message, error);
      const instead = failed(error);
      return [instead, replier.reply(message, instead)];
    }
  }

  #decline(work: Work, error: Error): void {
    if (!Replier.isCall(work.message)) return;
    Promise.resolve(this.#options.isLastResort(work.delivery))
      .then((last) => (last ? this.#options.replier.reply(work.message, failed(error)) : undefined))
      .then((receivers) => (receivers === 0 ? this.#keep(work) : undefined))
      .catch((reason: unknown) => this.#log(work.message, reason, 'the reply could not be sent'));
  }

  async #publishOn({ message, context }: Work, result: unknown): Promise<void> {
    const response = result instanceof Response ? result : undefined;
    const options = {
      correlationId: response?.correlationId ?? message.correlationId,
      ...(response?.headers === undefined ? {} : { headers: response.headers }),
    };
    for (const publisher of context.onward) await publisher.send(bodyOf(result), options);
  }

  #log({ correlationId, id }: Message, error: unknown, what = 'the handler failed'): void {
    this.surroundings.logger.error(
      { err: error, correlationId, id },
      `${this.#options.name}: ${what}`,
    );
  }
}
