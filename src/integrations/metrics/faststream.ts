import { binaryFormat } from '../../index.ts';
import type {
  CalledEvent,
  HandledEvent,
  HandleEvent,
  Message,
  Observer,
  RedisBroker,
  ReceivedEvent,
  SettledEvent,
  SubscriberInfo,
} from '../../index.ts';
import { Bounded } from '../bounded.ts';
import { FASTSTREAM } from './definitions.ts';
import { Places } from './places.ts';
import { Distributions, Values, render } from './registry.ts';

/** The value of the label `broker`, for every broker on Redis. */
const BROKER = 'redis';

/** Different exceptions and undeclared destinations that get a label of their own. */
const MAX_VALUES = 100;

/** How prometheus_client writes a bucket's bound: `16.0`, `1.048576e+06`. Series are summed by this text. */
function pythonBound(bound: number): string {
  if (bound === Infinity) return '+Inf';
  const text = Number.isInteger(bound) ? `${bound}.0` : String(bound);
  const dot = text.indexOf('.');
  if (dot <= 6) return text;
  const digits = `${text.slice(0, 1)}.${text.slice(1, dot)}${text.slice(dot + 1)}`;
  return `${digits.replace(/[0.]+$/, '')}e+0${dot - 1}`;
}

type Sent = Pick<CalledEvent, 'to' | 'error' | 'milliseconds'>;

/** The page under the names of FastStream's RedisPrometheusMiddleware. */
export class FastStreamRecorder {
  readonly #app: string;
  readonly #received = new Values(FASTSTREAM.received);
  readonly #size = new Distributions(FASTSTREAM.size, pythonBound);
  readonly #inProcess = new Values(FASTSTREAM.inProcess);
  readonly #processed = new Values(FASTSTREAM.processed);
  readonly #processedSeconds = new Distributions(FASTSTREAM.processedSeconds, pythonBound);
  readonly #exceptions = new Values(FASTSTREAM.exceptions);
  readonly #published = new Values(FASTSTREAM.published);
  readonly #publishedSeconds = new Distributions(FASTSTREAM.publishedSeconds, pythonBound);
  readonly #publishExceptions = new Values(FASTSTREAM.publishExceptions);
  /** Messages that their handler has settled itself, before it ended. */
  readonly #settled = new WeakMap<Message, string>();
  readonly #errors = new Bounded(MAX_VALUES, 'other');
  readonly #places: Places;

  constructor(brokers: readonly RedisBroker[], app: string) {
    this.#app = app;
    this.#places = new Places(brokers, MAX_VALUES);
  }

  observerOf(): Observer {
    return {
      received: (event) => this.#onReceived(event),
      handle: (event, next) => {
        this.#onHandle(event);
        return next();
      },
      settled: (event) => this.#onSettled(event),
      handled: (event) => this.#onHandled(event),
      published: (event) => {
        // FastStream does not count answers.
        if (event.type === 'publish') this.#onSent(event);
      },
      called: (event) => this.#onSent(event),
    };
  }

  page(): Promise<string> {
    return Promise.resolve(
      render([
        ...[this.#received, this.#size, this.#inProcess, this.#processed, this.#processedSeconds],
        ...[this.#exceptions, this.#published, this.#publishedSeconds, this.#publishExceptions],
      ]),
    );
  }

  #onReceived({ subscriber, message }: ReceivedEvent): void {
    const labels = this.#labels(subscriber);
    this.#received.at(...labels).value++;
    this.#size.at(...labels).observe(bodySize(message));
  }

  #onHandle({ subscriber, messages }: HandleEvent): void {
    this.#inProcess.at(...this.#labels(subscriber)).value += messages.length;
  }

  #onSettled({ message, how }: SettledEvent): void {
    if (how === 'nack') this.#settled.set(message, 'nacked');
    if (how === 'reject') this.#settled.set(message, 'rejected');
  }

  #onHandled({ subscriber, message, outcome, error, milliseconds }: HandledEvent): void {
    const labels = this.#labels(subscriber);
    const inProcess = this.#inProcess.at(...labels);
    // One that began before the page was made was not counted.
    inProcess.value = Math.max(0, inProcess.value - 1);
    this.#processedSeconds.at(...labels).observe(milliseconds / 1_000);
    const status =
      this.#settled.get(message) ??
      (outcome === 'ok' ? 'acked' : outcome === 'failed' ? 'error' : 'skipped');
    this.#processed.at(...labels, status).value++;
    if (outcome !== 'failed') return;
    const [app, broker, handler] = labels;
    this.#exceptions.at(app, broker, this.#errors.of(className(error)), handler).value++;
  }

  #onSent({ to, error, milliseconds }: Sent): void {
    const labels = [this.#app, BROKER, this.#places.labelOf(to.name)] as const;
    this.#publishedSeconds.at(...labels).observe(milliseconds / 1_000);
    this.#published.at(...labels, error === undefined ? 'success' : 'error').value++;
    if (error !== undefined)
      this.#publishExceptions.at(...labels, this.#errors.of(className(error))).value++;
  }

  #labels({ name }: SubscriberInfo): [app: string, broker: string, handler: string] {
    return [this.#app, BROKER, name];
  }
}

/** FastStream measures the body alone; a frame in another format is measured as a whole. */
function bodySize({ raw }: Message): number {
  try {
    return binaryFormat.decode(raw).body.length;
  } catch {
    return raw.length;
  }
}

function className(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
