import type { Publishing } from '../api/publishing.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import type { Consumer } from '../consume/consumer.ts';
import type { Overrides } from '../consume/inject.ts';
import type { Routes } from '../consume/dispatcher.ts';
import { RunningSubscriber } from '../consume/running-subscriber.ts';
import { BrokerClosedError, SetupError, messageOf } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import { pause, settledWithin } from '../internal/deferred.ts';
import type { Logger } from '../internal/logger.ts';
import type { Session } from '../rpc/session.ts';
import type { Report } from '../transport/source.ts';
import type { SubscriberVitals } from './health.ts';
import { combine, plan, planOne, refuseCircles, rivalry, type Member, type Plan } from './plan.ts';
import { answersAll, hearingWith } from './answers-all.ts';
import { routesOf, type RouteEnvironment } from './routes.ts';
import type { Declaration, Run } from './subscriber.ts';

/** Milliseconds that a stop waits for what is still being opened. */
export const OPEN_PATIENCE = 5_000;

/** Milliseconds before a reader that was added while the server was away is opened again: the first time, and at most. */
const RETRY_MIN = 250;
const RETRY_MAX = 5_000;

/** One reader and the handlers that share it. */
interface Reader {
  /** Changes when a handler joins or leaves. */
  plan: Plan;
  /** Undefined until the session is open. */
  subscriber: RunningSubscriber | undefined;
  ready: Promise<void>;
  /** Whether `start` tells its caller of a failure; else it is logged. */
  readonly isAwaited: boolean;
  /** Aborts when it is to be stopped. */
  readonly ending: AbortController;
  /** Set where it could not be opened. */
  failure: { readonly error: unknown } | undefined;
}

/** The handlers of one place, and the readers that they share. */
interface Place {
  readonly handlers: Handler[];
  readonly readers: Set<Reader>;
}

/** One handler that runs, or is about to. */
interface Handler extends Run {
  /** For this handler alone. */
  readonly plan: Plan;
  reader: Reader | undefined;
}

export interface RunnerOptions extends Omit<RouteEnvironment, 'mayWrite'> {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides;
  /** Milliseconds that running handlers have when they are stopped. */
  readonly patience: number;
  readonly reportFor: (name: string) => Report;
  readonly onExpired: () => void;
  /** Undefined while nothing is connected. */
  readonly session: () => Session | undefined;
}

/**
 * Runs the handlers of a broker between its start and its stop. What runs follows from the handlers
 * that are there: each that comes or goes changes the readers of its place as a restart would.
 */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #places = new Map<string, Place>();
  readonly #handlers = new Map<SubscriberInfo, Handler>();
  /** All that are not closed yet, those that are being stopped included. */
  readonly #readers = new Set<Reader>();
  /** Undefined while nothing may run. */
  #session: Promise<Session> | undefined;
  /** Those that were opened since `start` began; undefined where none is under way. */
  #awaited: Set<Reader> | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Whether handlers run, or are about to: not before a start, nor after a stop. */
  get isTaking(): boolean {
    return this.#session !== undefined;
  }

  vitalsOf(info: SubscriberInfo): SubscriberVitals {
    const reader = this.#handlers.get(info)?.reader;
    if (reader === undefined) return { state: 'stopped' };
    if (reader.failure !== undefined)
      return { state: 'failed', error: messageOf(reader.failure.error) };
    return reader.subscriber?.vitals ?? { state: 'starting' };
  }

  /**
   * Opens the session and runs the handlers, and those that are prepared meanwhile. Resolves when all
   * subscriptions are confirmed. Mistakes are found before anything is opened.
   */
  async start(declarations: readonly Declaration[], open: () => Promise<Session>): Promise<void> {
    plan(declarations);
    this.#session = open();
    const awaited = (this.#awaited = new Set());
    try {
      this.#add(declarations.map(planOne));
      await this.#session; // which may fail where there is no handler to tell
      // Those that come meanwhile are waited for, too. One of which a handler was stopped tells nobody.
      for (const reader of awaited) {
        await reader.ready.catch((error: unknown) => {
          if (this.#session === undefined || !reader.ending.signal.aborted) throw error;
        });
      }
    } finally {
      this.#awaited = undefined;
    }
  }

  /** Checks handlers that are about to be added: throws where they do not fit those that run. The result runs them, unless nothing may run. */
  prepare(declare: () => Declaration[]): () => void {
    if (this.#session === undefined) return () => undefined;
    const added = declare().map(planOne);
    for (const one of added) {
      const here = added.filter(({ place }) => place === one.place);
      combine([...this.#at(one.place), ...here]);
    }
    refuseCircles(added, [...this.#plans(), ...added]);
    return () => {
      if (this.#session !== undefined) this.#add(added);
    };
  }

  /** Opens a plan for messages that are taken by hand. */
  consume<Body>(
    planned: Plan,
    session: Session,
    onClose: (consumer: Consumer) => void,
  ): Promise<Consumer<Body>> {
    return this.#build({ plan: planned }, session).consume<Body>(onClose);
  }

  /** Stops all at once. Resolves with how each ended. */
  async stop(): Promise<PromiseSettledResult<void>[]> {
    this.#session = undefined;
    const handlers = [...this.#handlers.values()];
    const results = await Promise.allSettled(
      [...this.#readers].map((reader) => this.#stopReader(reader)),
    );
    // Those that were added by a start after this stop are not there yet: it waits for this to end.
    for (const handler of handlers) this.#forget(handler);
    this.#places.clear();
    return results;
  }

  /** The plans of the handlers of one place. */
  #at(place: string): Plan[] {
    return this.#places.get(place)?.handlers.map((handler) => handler.plan) ?? [];
  }

  /** The plans of all readers that run. */
  #plans(): Plan[] {
    return [...this.#readers]
      .filter(({ ending }) => !ending.signal.aborted)
      .map((reader) => reader.plan);
  }

  #add(plans: readonly Plan[]): void {
    const changed = new Set<Place>();
    for (const planned of plans) {
      const place = this.#places.get(planned.place) ?? { handlers: [], readers: new Set() };
      this.#places.set(planned.place, place);
      const handler = this.#handlerOf(planned, place);
      place.handlers.push(handler);
      const [{ subscriber, info }] = planned.members as [Member];
      subscriber.runs.add(handler);
      this.#handlers.set(info, handler);
      changed.add(place);
    }
    for (const place of changed) this.#arrange(place);
  }

  #handlerOf(planned: Plan, place: Place): Handler {
    let stopping: Promise<void> | undefined;
    const handler: Handler = {
      plan: planned,
      reader: undefined,
      get ready() {
        return this.reader?.ready ?? Promise.resolve();
      },
      stop: () => (stopping ??= this.#stopHandler(handler, place)),
      pause: async () => handler.reader?.subscriber?.pause(),
      resume: async () => handler.reader?.subscriber?.resume(),
      setConcurrency: (calls) => {
        const running = handler.reader?.subscriber;
        if (running !== undefined) running.concurrency = calls;
      },
    };
    return handler;
  }

  /** Has the readers of a place fit its handlers: opens those that are missing, and tells the others who shares them. */
  #arrange(place: Place): void {
    const plans = combine(place.handlers.map((handler) => handler.plan));
    const rivals = rivalry(plans);
    if (rivals !== undefined) this.#options.logger.warn({}, rivals);
    for (const planned of plans) {
      const sharing = place.handlers.filter(({ plan: { members } }) =>
        planned.members.includes(members[0] as Member),
      );
      const reader =
        sharing.find((handler) => handler.reader !== undefined && place.readers.has(handler.reader))
          ?.reader ?? this.#open(planned, place);
      for (const handler of sharing) handler.reader = reader;
      if (planned.members.length === reader.plan.members.length) continue;
      reader.plan = planned;
      this.#change(reader);
    }
  }

  /** Tells a reader that runs who shares it now. */
  #change({ plan: planned, subscriber }: Reader): void {
    if (subscriber === undefined) return;
    subscriber.routes = this.#routesOf(planned, subscriber.session);
    subscriber.concurrency = concurrencyOf(planned);
    const told = isPaused(planned) ? subscriber.pause() : subscriber.resume();
    told.catch((error: unknown) => {
      this.#options.logger.error({ err: error }, `${planned.name} could not be resumed`);
    });
  }

  #open(planned: Plan, place: Place): Reader {
    const reader: Reader = {
      plan: planned,
      subscriber: undefined,
      ready: Promise.resolve(),
      isAwaited: this.#awaited !== undefined,
      ending: new AbortController(),
      failure: undefined,
    };
    place.readers.add(reader);
    this.#readers.add(reader);
    this.#awaited?.add(reader);
    reader.ready = this.#openReader(reader, this.#session as Promise<Session>);
    // Whoever waits has `ready`, and its failure.
    reader.ready.catch((error: unknown) => {
      reader.failure = { error };
      place.readers.delete(reader);
      this.#readers.delete(reader);
      if (reader.isAwaited || reader.ending.signal.aborted) return;
      this.#options.logger.error({ err: error }, `${reader.plan.name} could not be started`);
    });
    return reader;
  }

  async #openReader(reader: Reader, opening: Promise<Session>): Promise<void> {
    const session = await opening;
    const { signal } = reader.ending;
    for (let failures = 0; ; failures++) {
      if (signal.aborted) throw new BrokerClosedError(`${reader.plan.name} was stopped`);
      reader.subscriber = this.#build(reader, session);
      try {
        reader.subscriber.concurrency = concurrencyOf(reader.plan);
        await reader.subscriber.start(isPaused(reader.plan));
        return;
      } catch (error) {
        if (reader.isAwaited || signal.aborted || isLasting(error, session)) throw error;
        // It came when the server was away: nobody else would try again.
        const delay = backoff(failures, RETRY_MIN, RETRY_MAX);
        const next = `next attempt in ${Math.round(delay)} ms`;
        this.#options.logger.warn(
          { err: error },
          `${reader.plan.name} could not be started, ${next}`,
        );
        await pause(delay, signal);
      }
    }
  }

  /** Takes a handler off its reader. The last one stops it. */
  async #stopHandler(handler: Handler, place: Place): Promise<void> {
    const { reader } = handler;
    const at = place.handlers.indexOf(handler);
    if (at >= 0) place.handlers.splice(at, 1);
    if (place.handlers.length === 0) this.#places.delete(handler.plan.place);
    if (reader !== undefined) {
      if (place.handlers.some((other) => other.reader === reader)) {
        this.#arrange(place);
        // What this handler runs now has the time that it would have if it were alone.
        await reader.subscriber?.passed(this.#options.patience);
      } else {
        place.readers.delete(reader);
        await this.#stopReader(reader);
      }
    }
    this.#forget(handler);
  }

  async #stopReader(reader: Reader): Promise<void> {
    reader.ending.abort();
    reader.subscriber?.halt();
    // One that is still being opened has no message yet, and cannot be closed before it is open.
    await settledWithin(reader.ready, OPEN_PATIENCE);
    try {
      await reader.subscriber?.stop(this.#options.patience);
    } finally {
      this.#readers.delete(reader);
    }
  }

  #forget(handler: Handler): void {
    const [{ subscriber, info }] = handler.plan.members as [Member];
    subscriber.runs.delete(handler);
    if (this.#handlers.get(info) === handler) this.#handlers.delete(info);
  }

  /** `reader.plan` is read whenever it is needed: it changes as handlers join and leave. */
  #build(reader: { readonly plan: Plan }, session: Session): RunningSubscriber {
    const { logger, broker, overrides, observers, senders, reportFor, onExpired } = this.#options;
    const { codec = senders.codec, format = senders.format } = reader.plan;
    return new RunningSubscriber(reader.plan, session, {
      logger,
      broker,
      overrides,
      observers,
      codec,
      format,
      routes: this.#routesOf(reader.plan, session),
      isLastResort: ({ name }, isForAll) => this.#isLastResort(reader.plan, name, isForAll),
      answersAll: ({ name }) => answersAll(reader.plan, this.#plans(), name),
      onExpired,
      gracefulTimeout: this.#options.patience,
      name: () => reader.plan.name,
      report: (...told) => reportFor(reader.plan.name)(...told),
    });
  }

  #routesOf(planned: Plan, session: Session): Routes {
    const mayWrite = (kind: 'list' | 'stream', name: string): boolean => this.#mayWrite(kind, name);
    return routesOf(planned, session, { ...this.#options, mayWrite });
  }

  /**
   * Whether an answer may be written to a list or stream that a message names: under the broker's
   * prefix, and where nothing here reads it as the other kind, since that reader would stop for good.
   */
  #mayWrite(kind: 'list' | 'stream', place: string): boolean {
    if (!place.startsWith(this.#options.prefix)) return false;
    return !this.#plans().some(
      ({ source }) => source.name === place && source.kind !== kind && source.kind !== 'channel',
    );
  }

  /**
   * Whether nobody else could answer a message here, as far as this broker knows: all who read a
   * channel or a stream get the same message. Of several that never answer, the first tells the caller.
   */
  #isLastResort(planned: Plan, name: string, isForAll: boolean): boolean | Promise<boolean> {
    const { source, noReply } = planned;
    if (!planned.hears(name)) return this.#isAloneInGlob(planned, name);
    if (source.kind === 'list' || (source.kind === 'stream' && source.group !== undefined))
      return true;
    const hearing = hearingWith(planned, this.#plans(), name, isForAll);
    if (noReply && hearing[0] !== planned) return false;
    const isLast = hearing.every((other) => other === planned || other.noReply);
    const session = this.#options.session();
    if (source.kind === 'channel' || !isLast || session === undefined) return isLast;
    return session.transport.hasGroups(name).then((hasGroups) => !hasGroups);
  }

  /**
   * The same for a channel's name that fits the glob and not the template. Redis counts each glob as a
   * receiver once: the first of those who share it tells the caller, unless another of them hears it.
   */
  #isAloneInGlob(planned: Plan, name: string): boolean {
    const sharing = this.#plans()
      .filter(({ source }) => source.kind === 'channel' && source.isPattern)
      .filter(({ source }) => source.name === planned.source.name);
    return sharing[0] === planned && !sharing.some((other) => other.hears(name));
  }
}

/** What was set at run time, or the option. */
function concurrencyOf({ members, concurrency }: Plan): number {
  const set = members.map(({ subscriber }) => subscriber.concurrencyNow ?? 0);
  return Math.max(...set) || concurrency;
}

/** Handlers that share a reader pause together. */
function isPaused({ members }: Plan): boolean {
  return members.some(({ subscriber }) => subscriber.isPaused);
}

/** Whether another attempt to open a source would fail, too. */
function isLasting(error: unknown, { transport }: Session): boolean {
  if (error instanceof SetupError || error instanceof BrokerClosedError) return true;
  return transport.adviceOn(error) !== undefined;
}
