import { errorHandlersBy } from '../api/error-handlers.ts';
import {
  composeConsume,
  consumersIn,
  type HandlerFunction,
  type Middleware,
} from '../api/middleware.ts';
import type { Observers } from '../api/observer.ts';
import type { Publishing } from '../api/publishing.ts';
import type { Consumer } from '../consume/consumer.ts';
import type { Route } from '../consume/dispatcher.ts';
import { injecting, type Overrides } from '../consume/inject.ts';
import { RunningSubscriber } from '../consume/running-subscriber.ts';
import { messageOf } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Logger } from '../internal/logger.ts';
import { defaultCodec } from '../message/codec.ts';
import { Encoder } from '../message/encoder.ts';
import { validator } from '../message/schema.ts';
import { Publisher } from '../publish/publisher.ts';
import { isAsyncFunction } from '../rpc/parent.ts';
import { Replier } from '../rpc/responder/replier.ts';
import type { Session } from '../rpc/session.ts';
import type { Report } from '../transport/source.ts';
import type { SubscriberVitals } from './health.ts';
import type { Member, Plan } from './plan.ts';
import type { Senders } from './senders.ts';
import type { Run, Subscriber } from './subscriber.ts';

/** Milliseconds that a stop waits for what is still being opened. */
export const OPEN_PATIENCE = 5_000;

/** What runs for one plan. */
interface Running extends Run {
  readonly plan: Plan;
  readonly subscriber: RunningSubscriber;
}

export interface RunnerOptions {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides;
  readonly observers: Observers;
  readonly senders: Senders;
  /** The broker's prefix: names in `ctx.publish` get it. */
  readonly prefix: string;
  /** Milliseconds that running handlers have when they are stopped. */
  readonly patience: number;
  readonly reportFor: (name: string) => Report;
  readonly onExpired: () => void;
  /** Undefined while nothing is connected. */
  readonly session: () => Session | undefined;
}

/** Builds what runs for a plan, starts it and stops it again. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #running = new Map<Subscriber, Running>();
  /** Subscribers whose subscription could not be made, and why. */
  readonly #failures = new Map<Subscriber, unknown>();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  has(subscriber: Subscriber): boolean {
    return this.#running.has(subscriber);
  }

  vitalsOf(subscriber: Subscriber): SubscriberVitals {
    const running = this.#running.get(subscriber);
    if (running !== undefined) return running.subscriber.vitals ?? { state: 'starting' };
    if (!this.#failures.has(subscriber)) return { state: 'stopped' };
    return { state: 'failed', error: messageOf(this.#failures.get(subscriber)) };
  }

  /** Resolves when the subscription is confirmed. */
  run(planned: Plan, session: Session): Promise<void> {
    const subscriber = this.#build(planned, session);
    const isPaused = planned.members.some(({ subscriber: member }) => member.isPaused);
    const ready = subscriber.start(isPaused);
    const running: Running = {
      plan: planned,
      subscriber,
      ready,
      stop: () => this.#stopEarly(running),
      pause: () => subscriber.pause(),
      resume: () => subscriber.resume(),
      setConcurrency: (calls) => (subscriber.concurrency = calls),
    };
    for (const { subscriber: member } of planned.members) {
      if (member.concurrencyNow !== undefined) subscriber.concurrency = member.concurrencyNow;
      member.runs.add(running);
      this.#running.set(member, running);
      this.#failures.delete(member);
    }
    // Whoever called has `ready`, and its failure.
    ready.catch((error: unknown) => {
      this.#forget(running);
      for (const { subscriber: member } of planned.members) this.#failures.set(member, error);
    });
    return ready;
  }

  /** Opens a plan for messages that are taken by hand. */
  consume<Body>(
    planned: Plan,
    session: Session,
    onClose: (consumer: Consumer) => void,
  ): Promise<Consumer<Body>> {
    return this.#build(planned, session).consume<Body>(onClose);
  }

  /** Stops all at once. Resolves with how each ended. */
  async stop(): Promise<PromiseSettledResult<void>[]> {
    const running = new Set(this.#running.values());
    const results = await Promise.allSettled([...running].map((run) => this.#stopRun(run)));
    for (const run of running) this.#forget(run);
    this.#failures.clear();
    return results;
  }

  #build(planned: Plan, session: Session): RunningSubscriber {
    const { logger, broker, overrides, observers, senders, prefix, reportFor, onExpired } =
      this.#options;
    const { name, members, errorPolicy } = planned;
    const [first] = members as [Member, ...Member[]];
    const { options } = first.subscriber.spec;
    const { codec = senders.codec, format = senders.format } = options;
    const middlewares = middlewaresOf(first);
    const sender = senders.sender(prefix, () => middlewares);
    const { transport, inbox, answerLog } = session;
    const replier = new Replier({
      encoder: senders.encoder(options),
      errorEncoder: new Encoder(defaultCodec, format),
      transport,
      inbox,
      answerLog,
      middlewares: senders.publishing(middlewares),
      observers,
      hidesErrors: errorPolicy === 'hide',
    });
    return new RunningSubscriber(planned, session, {
      logger,
      broker,
      overrides,
      observers,
      subscriber: first.info,
      codec,
      format,
      replier,
      routes: members.map((member) => this.#route(member, planned.address)),
      errorHandlers: errorHandlersBy(first.inherited.errorHandlers),
      sending: (parent) => sender.from(parent),
      isLastResort: (delivery) => this.#isLastResort(planned, delivery.name),
      onExpired,
      gracefulTimeout: this.#options.patience,
      report: reportFor(name),
    });
  }

  #route(member: Member, address: string): Route {
    const { subscriber, inherited, info } = member;
    const { senders } = this.#options;
    const { filter, schema, reply, inject, onError = [] } = subscriber.spec.options;
    const middlewares = middlewaresOf(member);
    const consumers = consumersIn(middlewares);
    const innermost = senders.innermost === undefined ? [] : consumersIn([senders.innermost]);
    const method = composeConsume(innermost, subscriber.handler);
    const handler: HandlerFunction =
      innermost.length === 0 ? subscriber.handler : (body, ctx) => method(ctx, body);
    return {
      subscriber: info,
      filter:
        filter === undefined ? undefined : (message) => !subscriber.stopped && filter(message),
      validate: schema === undefined ? undefined : validator(schema, `the message from ${address}`),
      validateReply: reply === undefined ? undefined : validator(reply, `the answer of ${address}`),
      invoke: composeConsume(consumers, injecting(inject, handler)),
      isAsync:
        subscriber.isAsync || inject !== undefined || consumers.some(isAsyncFunction) || undefined,
      forwards: subscriber.publishers.map(
        (spec) =>
          new Publisher(
            () => senders.sender(inherited.prefix, () => middlewares, spec.options),
            spec,
          ),
      ),
      errorHandlers: errorHandlersBy([...onError, ...inherited.errorHandlers]),
    };
  }

  /**
   * Whether nobody else could answer a message here, as far as this broker knows: all who read a
   * channel or a stream get the same message. Of several that never answer, the first tells the caller.
   */
  #isLastResort(planned: Plan, name: string): boolean | Promise<boolean> {
    const { source, noReply } = planned;
    if (source.kind === 'list' || (source.kind === 'stream' && source.group !== undefined))
      return true;
    const plans = new Set([...this.#running.values()].map((running) => running.plan));
    const hearing = [...plans].filter(
      (other) => other.source.kind === source.kind && other.hears(name),
    );
    if (noReply && hearing[0] !== planned) return false;
    const isLast = hearing.every((other) => other === planned || other.noReply);
    const session = this.#options.session();
    if (source.kind === 'channel' || !isLast || session === undefined) return isLast;
    return session.transport.hasGroups(name).then((hasGroups) => !hasGroups);
  }

  #forget(running: Running): void {
    for (const { subscriber } of running.plan.members) {
      subscriber.runs.delete(running);
      if (this.#running.get(subscriber) === running) this.#running.delete(subscriber);
    }
  }

  /** Handlers that share a reader stop it together: the last one does. */
  async #stopEarly(running: Running): Promise<void> {
    if (running.plan.members.some(({ subscriber }) => !subscriber.stopped)) return;
    running.subscriber.halt();
    await this.#stopRun(running);
    this.#forget(running);
  }

  async #stopRun({ ready, subscriber }: Running): Promise<void> {
    // One that is still being opened has no message yet, and cannot be closed before it is open.
    const isOpen = await settledWithin(ready, OPEN_PATIENCE);
    if (isOpen) await subscriber.stop(this.#options.patience);
  }
}

/** All middleware of a subscriber: the broker's first, its own last. */
function middlewaresOf({ subscriber, inherited }: Member): readonly Middleware[] {
  return [...inherited.middlewares, ...(subscriber.spec.options.middlewares ?? [])];
}
