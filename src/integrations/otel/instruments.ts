import {
  createNoopMeter,
  metrics,
  type Attributes,
  type Counter,
  type Histogram,
  type MeterProvider,
} from '@opentelemetry/api';
import type { SubscriberInfo } from '../../index.ts';
import { Bounded } from '../bounded.ts';

/** The name of tracer and meter. */
export const SCOPE = 'redstart';

/** Seconds: the boundaries that the semantic conventions give for both histograms. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Stands for a destination past the bound: it is left out of the metrics. */
const REST = '';

interface Made {
  readonly sent: Counter;
  readonly consumed: Counter;
  readonly operation: Histogram;
  readonly process: Histogram;
}

/** The four instruments of the messaging conventions, made when a meter provider is there. */
export class Instruments {
  readonly #given: MeterProvider | undefined;
  readonly #destinations = new Bounded(REST);
  #provider: MeterProvider | undefined;
  #made: Made | undefined;

  constructor(given: MeterProvider | undefined) {
    this.#given = given;
  }

  get areRecorded(): boolean {
    return this.#current() !== undefined;
  }

  consumed({ name, group }: SubscriberInfo): void {
    this.#current()?.consumed.add(1, processing(name, group));
  }

  processed({ name, group }: SubscriberInfo, milliseconds: number, error?: string): void {
    const instruments = this.#current();
    if (instruments === undefined) return;
    instruments.process.record(milliseconds / 1_000, {
      ...processing(name, group),
      ...failed(error),
    });
  }

  sent(operation: 'publish' | 'call', to: string, milliseconds: number, error?: string): void {
    const instruments = this.#current();
    if (instruments === undefined) return;
    const name = this.#destinations.of(to);
    const attributes: Attributes = {
      'messaging.system': 'redis',
      'messaging.operation.name': operation,
      'messaging.operation.type': 'send',
      ...(name === REST ? {} : { 'messaging.destination.name': name }),
      ...failed(error),
    };
    instruments.sent.add(1, attributes);
    instruments.operation.record(milliseconds / 1_000, attributes);
  }

  /** Undefined where no provider is registered: then nothing is recorded. */
  #current(): Made | undefined {
    const provider = this.#given ?? metrics.getMeterProvider();
    if (provider === this.#provider) return this.#made;
    this.#provider = provider;
    // The API has no proxy for meters: one that is registered later is another provider.
    const meter = provider.getMeter(SCOPE);
    if (meter === createNoopMeter()) return (this.#made = undefined);
    const seconds = { unit: 's', advice: { explicitBucketBoundaries: BOUNDARIES } };
    return (this.#made = {
      sent: meter.createCounter('messaging.client.sent.messages', {
        unit: '{message}',
        description: 'Messages that were to be sent.',
      }),
      consumed: meter.createCounter('messaging.client.consumed.messages', {
        unit: '{message}',
        description: 'Messages that were read.',
      }),
      operation: meter.createHistogram('messaging.client.operation.duration', {
        ...seconds,
        description: 'Time until Redis confirmed a message, or a call ended.',
      }),
      process: meter.createHistogram('messaging.process.duration', {
        ...seconds,
        description: 'Time from the start of a message until its outcome.',
      }),
    });
  }
}

function processing(name: string, group: string | undefined): Attributes {
  return {
    'messaging.system': 'redis',
    'messaging.operation.name': 'process',
    'messaging.destination.template': name,
    ...(group === undefined ? {} : { 'messaging.consumer.group.name': group }),
  };
}

function failed(error: string | undefined): Attributes {
  return error === undefined ? {} : { 'error.type': error };
}
