import type {
  AnsweredEvent,
  BuriedEvent,
  CalledEvent,
  ConnectionEvent,
  FailureStage,
  HandledEvent,
  Observer,
  PublishedEvent,
  ReceivedEvent,
  RedisBroker,
  RetriedEvent,
  SettledEvent,
  SubscriberInfo,
  TroubleEvent,
} from '../../index.ts';
import { Bounded, errorType } from '../bounded.ts';
import { DEFINITIONS } from './definitions.ts';
import { Gauges, labelsOf } from './gauges.ts';
import { Places } from './places.ts';
import {
  Distributions,
  Values,
  pairs,
  render,
  type Distribution,
  type Series,
} from './registry.ts';

const OUTCOMES = ['ok', 'failed', 'expired', 'skipped'] as const;
const STAGES = [
  ...(['decode', 'validate', 'match', 'filter', 'handler', 'timeout', 'exhausted'] as const),
  'forward',
] as const satisfies readonly FailureStage[];
const SETTLEMENTS = ['ack', 'nack', 'reject', 'pending'] as const;
const ANSWERS = ['sent', 'nobody', 'failed'] as const;

/** How a call ended, by the code of its error; every other error is `failed`. */
const CALL_OUTCOMES: Readonly<Record<string, string>> = {
  RPC_TIMEOUT: 'timeout',
  NO_RESPONDERS: 'nobody',
  OVERLOADED: 'overloaded',
  CANCELLED: 'cancelled',
  AbortError: 'cancelled',
};

type Counts<Key extends string> = Readonly<Record<Key, Series>>;

/** The counters of one handler, found once. */
interface HandlerCounters {
  /** Address, title and group, as they are written. */
  readonly labels: string;
  readonly received: Series;
  readonly receivedBytes: Distribution;
  readonly handled: Counts<(typeof OUTCOMES)[number]>;
  readonly seconds: Distribution;
  readonly failures: Counts<FailureStage>;
  readonly settled: Counts<(typeof SETTLEMENTS)[number]>;
  readonly unacknowledged: Series;
  readonly retried: Series;
  readonly buried: Series;
  readonly pauses: Series;
  readonly answers: Counts<(typeof ANSWERS)[number]>;
}

/** The counters of one place that messages are sent to, or calls. */
interface PublishCounters {
  readonly ok: Series;
  readonly failed: Series;
  readonly seconds: Distribution;
}

interface CallCounters {
  readonly outcomes: Readonly<Record<string, Series>>;
  readonly seconds: Distribution;
}

/** The page under redstart's own names, for several brokers. */
export class Recorder {
  readonly #gauges: Gauges;
  readonly #received = new Values(DEFINITIONS.received);
  readonly #receivedBytes = new Distributions(DEFINITIONS.receivedBytes);
  readonly #handled = new Values(DEFINITIONS.handled);
  readonly #handlerSeconds = new Distributions(DEFINITIONS.handlerSeconds);
  readonly #failures = new Values(DEFINITIONS.failures);
  readonly #errors = new Values(DEFINITIONS.errors);
  readonly #settled = new Values(DEFINITIONS.settled);
  readonly #unacknowledged = new Values(DEFINITIONS.unacknowledged);
  readonly #retried = new Values(DEFINITIONS.retried);
  readonly #buried = new Values(DEFINITIONS.buried);
  readonly #pauses = new Values(DEFINITIONS.pauses);
  readonly #answers = new Values(DEFINITIONS.answers);
  readonly #published = new Values(DEFINITIONS.published);
  readonly #publishErrors = new Values(DEFINITIONS.publishErrors);
  readonly #publishSeconds = new Distributions(DEFINITIONS.publishSeconds);
  readonly #calls = new Values(DEFINITIONS.calls);
  readonly #callErrors = new Values(DEFINITIONS.callErrors);
  readonly #callSeconds = new Distributions(DEFINITIONS.callSeconds);
  readonly #lost = new Values(DEFINITIONS.lost);
  readonly #reconnected = new Values(DEFINITIONS.reconnected);
  readonly #trouble = new Values(DEFINITIONS.trouble);

  readonly #handlers = new WeakMap<SubscriberInfo, HandlerCounters>();
  readonly #publishes = new Map<string, PublishCounters>();
  readonly #calling = new Map<string, CallCounters>();
  readonly #errorValues = new Bounded('other');
  readonly #publishErrorValues = new Bounded('other');
  readonly #callErrorValues = new Bounded('other');
  readonly #problems = new Bounded('other');
  /** Brokers whose connection is lost. */
  readonly #down = new Set<RedisBroker>();
  readonly #places: Places;

  constructor(brokers: readonly RedisBroker[], server: boolean) {
    this.#gauges = new Gauges(brokers, server);
    this.#places = new Places(brokers);
    this.#lost.at();
    this.#reconnected.at();
  }

  /** What one broker tells. */
  observerOf(broker: RedisBroker): Observer {
    return {
      received: (event) => this.#onReceived(event),
      handled: (event) => this.#onHandled(event),
      settled: (event) => this.#onSettled(event),
      retried: (event) => this.#onRetried(event),
      buried: (event) => this.#onBuried(event),
      answered: (event) => this.#onAnswered(event),
      forwarded: ({ subscriber, error }) => {
        if (error !== undefined) this.#failed(this.#of(subscriber), 'forward', error);
      },
      breaker: ({ subscriber, state }) => {
        if (state === 'open') this.#of(subscriber).pauses.value++;
      },
      unacknowledged: ({ subscriber, count }) => {
        this.#of(subscriber).unacknowledged.value += count;
      },
      published: (event) => this.#onPublished(event),
      called: (event) => this.#onCalled(event),
      connection: (event) => this.#onConnection(broker, event),
      trouble: (event) => this.#onTrouble(event),
    };
  }

  async page(): Promise<string> {
    const subscribers = await this.#gauges.update();
    for (const info of subscribers) this.#of(info);
    this.#places.refresh(subscribers);
    for (const place of this.#places.declared) {
      if (place.isCalled) this.#callCounters(place.name);
      else this.#publishCounters(place.name);
    }
    const { pendingCalls, lateAnswers, up, live, ready, state, running, longest } = this.#gauges;
    const { waiting, dropped, held, listLength, lag, pending, consumers, oldest } = this.#gauges;
    return render([
      ...[this.#received, this.#receivedBytes, this.#handled, this.#handlerSeconds],
      ...[this.#failures, this.#errors, this.#settled, this.#unacknowledged, this.#retried],
      ...[this.#buried, this.#pauses, this.#answers],
      ...[this.#published, this.#publishErrors, this.#publishSeconds],
      ...[this.#calls, this.#callErrors, this.#callSeconds, pendingCalls, lateAnswers],
      ...[up, this.#lost, this.#reconnected, live, ready, this.#trouble],
      ...[state, running, longest, waiting, dropped, held],
      ...[listLength, lag, pending, consumers, oldest],
      ...[this.#gauges.deadLetters, this.#gauges.deadLettersMax],
    ]);
  }

  #onReceived({ subscriber, message }: ReceivedEvent): void {
    const { received, receivedBytes } = this.#of(subscriber);
    received.value++;
    receivedBytes.observe(message.raw.length);
  }

  #onHandled({ subscriber, outcome, stage, error, milliseconds }: HandledEvent): void {
    const counters = this.#of(subscriber);
    counters.handled[outcome].value++;
    counters.seconds.observe(milliseconds / 1_000);
    if (stage !== undefined) this.#failed(counters, stage, error);
  }

  #failed({ labels, failures }: HandlerCounters, stage: FailureStage, error: unknown): void {
    failures[stage].value++;
    const type = pairs(['error'], [this.#errorValues.of(errorType(error))]);
    this.#errors.of(`${labels},${type}`).value++;
  }

  #onSettled({ subscriber, how }: SettledEvent): void {
    this.#of(subscriber).settled[how].value++;
  }

  #onRetried({ subscriber }: RetriedEvent): void {
    this.#of(subscriber).retried.value++;
  }

  #onBuried({ subscriber }: BuriedEvent): void {
    this.#of(subscriber).buried.value++;
  }

  #onAnswered({ subscriber, receivers, error }: AnsweredEvent): void {
    const { answers } = this.#of(subscriber);
    if (error !== undefined) answers.failed.value++;
    else if (receivers === 0) answers.nobody.value++;
    else answers.sent.value++;
  }

  #onPublished({ type, to, error, milliseconds }: PublishedEvent): void {
    const address = type === 'reply' ? 'reply' : this.#places.labelOf(to.name);
    const { ok, failed, seconds } = this.#publishCounters(address);
    seconds.observe(milliseconds / 1_000);
    if (error === undefined) {
      ok.value++;
      return;
    }
    failed.value++;
    this.#publishErrors.at(address, this.#publishErrorValues.of(errorType(error))).value++;
  }

  #onCalled({ to, error, milliseconds }: CalledEvent): void {
    const address = this.#places.labelOf(to.name);
    const { outcomes, seconds } = this.#callCounters(address);
    seconds.observe(milliseconds / 1_000);
    const type = error === undefined ? undefined : errorType(error);
    const outcome = type === undefined ? 'ok' : (CALL_OUTCOMES[type] ?? 'failed');
    (outcomes[outcome] as Series).value++;
    if (type !== undefined) this.#callErrors.at(address, this.#callErrorValues.of(type)).value++;
  }

  #onConnection(broker: RedisBroker, { state }: ConnectionEvent): void {
    if (state === 'down') {
      this.#down.add(broker);
      this.#lost.at().value++;
    } else if (this.#down.delete(broker)) this.#reconnected.at().value++;
  }

  #onTrouble({ where, problem, level }: TroubleEvent): void {
    // A problem that names numbers would be another one each time.
    const label = this.#problems.of(problem.replaceAll(/\d+/g, '#'));
    this.#trouble.at(where, label, level).value++;
  }

  #of(info: SubscriberInfo): HandlerCounters {
    let counters = this.#handlers.get(info);
    if (counters === undefined) {
      counters = this.#countersOf(info);
      this.#handlers.set(info, counters);
    }
    return counters;
  }

  #countersOf(info: SubscriberInfo): HandlerCounters {
    const labels = labelsOf(info);
    const all = <Key extends string>(family: Values, label: string, keys: readonly Key[]) =>
      Object.fromEntries(
        keys.map((key) => [key, family.of(`${labels},${label}="${key}"`)]),
      ) as Counts<Key>;
    return {
      labels,
      received: this.#received.of(labels),
      receivedBytes: this.#receivedBytes.of(labels),
      handled: all(this.#handled, 'outcome', OUTCOMES),
      seconds: this.#handlerSeconds.of(labels),
      failures: all(this.#failures, 'stage', STAGES),
      answers: all(this.#answers, 'outcome', ANSWERS),
      unacknowledged: this.#unacknowledged.of(labels),
      retried: this.#retried.of(labels),
      buried: this.#buried.of(labels),
      pauses: this.#pauses.of(labels),
      settled: all(this.#settled, 'how', SETTLEMENTS),
    };
  }

  #publishCounters(address: string): PublishCounters {
    let counters = this.#publishes.get(address);
    if (counters === undefined) {
      counters = {
        ok: this.#published.at(address, 'ok'),
        failed: this.#published.at(address, 'failed'),
        seconds: this.#publishSeconds.at(address),
      };
      this.#publishes.set(address, counters);
    }
    return counters;
  }

  #callCounters(address: string): CallCounters {
    let counters = this.#calling.get(address);
    if (counters === undefined) {
      // All outcomes exist from the first call on, so that a rate sees the first that fails.
      const outcomes = ['ok', 'failed', ...Object.values(CALL_OUTCOMES)].map(
        (outcome) => [outcome, this.#calls.at(address, outcome)] as const,
      );
      counters = {
        outcomes: Object.fromEntries(outcomes),
        seconds: this.#callSeconds.at(address),
      };
      this.#calling.set(address, counters);
    }
    return counters;
  }
}
