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
import {
  Distributions,
  Values,
  pairs,
  render,
  type Distribution,
  type Series,
} from './registry.ts';

/** The value of the label `broker`, for every broker on Redis. */
const BROKER = 'redis';

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

/** The series of one address that messages are read from. */
interface Reading {
  readonly name: string;
  readonly received: Series;
  readonly size: Distribution;
  readonly inProcess: Series;
  readonly seconds: Distribution;
}

/** The series of one address that messages are sent to. */
interface Sending {
  readonly seconds: Distribution;
  success: Series | undefined;
}

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
  readonly #errors = new Bounded('other');
  readonly #readings = new WeakMap<SubscriberInfo, Reading>();
  readonly #sending = new Map<string, Sending>();
  readonly #places: Places;

  constructor(brokers: readonly RedisBroker[], app: string) {
    this.#app = app;
    this.#places = new Places(brokers);
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
    const { received, size } = this.#reading(subscriber);
    received.value++;
    size.observe(bodySize(message));
  }

  #onHandle({ subscriber, messages }: HandleEvent): void {
    this.#reading(subscriber).inProcess.value += messages.length;
  }

  #onSettled({ message, how }: SettledEvent): void {
    if (how === 'nack') this.#settled.set(message, 'nacked');
    if (how === 'reject') this.#settled.set(message, 'rejected');
  }

  #onHandled({ subscriber, message, outcome, error, milliseconds }: HandledEvent): void {
    const { name, inProcess, seconds } = this.#reading(subscriber);
    // One that began before the page was made was not counted.
    inProcess.value = Math.max(0, inProcess.value - 1);
    seconds.observe(milliseconds / 1_000);
    const status =
      this.#settled.get(message) ??
      (outcome === 'ok' ? 'acked' : outcome === 'failed' ? 'error' : 'skipped');
    this.#processed.at(this.#app, BROKER, name, status).value++;
    if (outcome !== 'failed') return;
    const type = this.#errors.of(className(error));
    this.#exceptions.at(this.#app, BROKER, type, name).value++;
  }

  #onSent({ to, error, milliseconds }: Sent): void {
    const destination = this.#places.labelOf(to.name);
    let sending = this.#sending.get(destination);
    if (sending === undefined) {
      const labels = pairs(FASTSTREAM.publishedSeconds.labels, [this.#app, BROKER, destination]);
      sending = { seconds: this.#publishedSeconds.of(labels), success: undefined };
      this.#sending.set(destination, sending);
    }
    sending.seconds.observe(milliseconds / 1_000);
    if (error === undefined) {
      sending.success ??= this.#published.at(this.#app, BROKER, destination, 'success');
      sending.success.value++;
      return;
    }
    this.#published.at(this.#app, BROKER, destination, 'error').value++;
    const type = this.#errors.of(className(error));
    this.#publishExceptions.at(this.#app, BROKER, destination, type).value++;
  }

  #reading(info: SubscriberInfo): Reading {
    let reading = this.#readings.get(info);
    if (reading === undefined) {
      const { name } = info;
      const labels = pairs(FASTSTREAM.received.labels, [this.#app, BROKER, name]);
      reading = {
        name,
        received: this.#received.of(labels),
        size: this.#size.of(labels),
        inProcess: this.#inProcess.of(labels),
        seconds: this.#processedSeconds.of(labels),
      };
      this.#readings.set(info, reading);
    }
    return reading;
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
