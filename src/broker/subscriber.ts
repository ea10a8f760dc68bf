import { count } from '../internal/checks.ts';
import type { FailureOptions } from './failure-plan.ts';
import type { PublisherSpec, SubscriberSpec } from '../api/check.ts';
import { rethrow, type Contract } from '../api/contract.ts';
import type { ErrorHandler } from '../api/error-handlers.ts';
import type { HandlerFunction, Middleware } from '../api/middleware.ts';
import type { BrokerOptions } from '../api/options.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { SetupError } from '../errors.ts';
import { isAsyncIterable, promiseIn } from '../internal/promises.ts';
import { isAsyncFunction } from '../rpc/parent.ts';
import type { Schema } from '../message/schema.ts';
import type { Publisher } from '../publish/publisher.ts';
import { describe } from '../transport/address.ts';

/** A subscription that is confirmed, or is being made, on one broker. */
export interface Run {
  readonly ready: Promise<void>;
  stop(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  setConcurrency(calls: number): void;
}

/** Where a handler comes from. */
interface Origin {
  readonly instance?: object;
  readonly method?: string | symbol;
  /** The function itself, where it is no method. */
  readonly original?: unknown;
}

/** Where results are sent on to; `through` is the publisher that was given, which may be another broker's. */
export interface ForwardSpec extends PublisherSpec {
  readonly through?: Publisher<Schema, unknown>;
}

/** One handler that was registered: where it listens and what runs. */
export class Subscriber {
  /** @internal */
  readonly spec: SubscriberSpec;
  /** The option `title`, or class and method. Used in logs and errors. */
  readonly title: string;
  /** `list 'orders'`, without prefixes. */
  readonly address: string;
  /** @internal */
  readonly handler: HandlerFunction;
  /** Whether the handler is declared `async`. @internal */
  readonly isAsync: boolean;
  /** Where its results are sent on to. @internal */
  readonly publishers: readonly ForwardSpec[];
  /** @internal */
  readonly origin: Origin;
  /** One for each broker that has started it. @internal */
  readonly runs = new Set<Run>();
  /** @internal */
  stopped = false;
  /** @internal */
  isPaused = false;
  /** Set at run time. @internal */
  concurrencyNow: number | undefined;
  /** Called when it is stopped: whoever registered it forgets it. @internal */
  onStop: () => void = () => {};
  /** One for each address: a router that is included twice gives its subscribers two. */
  readonly #infos = new Map<string, SubscriberInfo>();

  /** @internal */
  constructor(
    spec: SubscriberSpec,
    name: string,
    handler: HandlerFunction,
    publishers: readonly ForwardSpec[],
    origin: Origin = {},
  ) {
    this.spec = spec;
    this.title = spec.options.title ?? name;
    this.address = describe(spec);
    const { contract } = spec;
    this.handler = contract === undefined ? handler : withContract(handler, contract);
    this.isAsync = isAsyncFunction(handler);
    this.publishers = publishers;
    this.origin = origin;
  }

  /** What users see of this subscriber at an address: always the same object. @internal */
  infoAt(address: string, name: string): SubscriberInfo {
    const { spec, origin } = this;
    const known = this.#infos.get(address);
    if (known !== undefined) return known;
    const info: SubscriberInfo = {
      title: this.title,
      description: spec.options.description,
      address,
      kind: spec.kind,
      name,
      group: spec.options.group,
      batch: spec.options.batch ?? false,
      class: origin.instance?.constructor.name,
      method: origin.method === undefined ? undefined : String(origin.method),
    };
    this.#infos.set(address, info);
    return info;
  }

  /** Whether this is the subscriber that `info` is about. @internal */
  is(info: SubscriberInfo): boolean {
    return this.#infos.get(info.address) === info;
  }

  /**
   * Resolves when the subscription is confirmed; call `start` of the broker first. Rejects if the
   * subscription cannot be made, before `start`, and after `stop`.
   */
  async started(): Promise<void> {
    if (this.runs.size === 0)
      throw new SetupError(
        `${this.title}: ${this.stopped ? 'the subscriber was stopped' : 'the broker has not been started'}`,
      );
    await Promise.all([...this.runs].map((run) => run.ready));
  }

  /**
   * Takes no messages until `resume`, on every broker that runs it; works before the start, too. Resolves
   * when no handler begins any more. Messages that were fetched go back. A channel is unsubscribed, so that
   * its callers get `NoRespondersError`. Running handlers go on. Handlers that share an
   * address (`filter`) pause together.
   */
  async pause(): Promise<void> {
    this.isPaused = true;
    await Promise.all([...this.runs].map((run) => run.pause()));
  }

  /** Ends a pause. Resolves when messages are read again; rejects if a channel cannot be subscribed to. */
  async resume(): Promise<void> {
    this.isPaused = false;
    await Promise.all([...this.runs].map((run) => run.resume()));
  }

  /** How many messages are handled at the same time; undefined: as the option says. Can be set at any time. */
  get concurrency(): number | undefined {
    return this.concurrencyNow ?? this.spec.options.concurrency;
  }

  set concurrency(calls: number | undefined) {
    if (calls !== undefined) count(calls, 'concurrency', this.title);
    this.concurrencyNow = calls;
    if (calls !== undefined) for (const run of this.runs) run.setConcurrency(calls);
  }

  /**
   * Ends the subscription and removes the handler from its broker or router. Running handlers get
   * `gracefulTimeout` of the broker.
   */
  async stop(): Promise<void> {
    if (!this.stopped) {
      this.stopped = true;
      this.onStop();
    }
    await Promise.all([...this.runs].map((run) => run.stop()));
  }

  /** {@link stop}: `await using orders = broker.subscriber({ list: 'orders' }, handler)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** What a broker and the routers below it hand down to a subscriber, resolved. */
export interface Inherited {
  /** All prefixes, the broker's first. */
  readonly prefix: string;
  /** The broker's first, the nearest router's last. */
  readonly middlewares: readonly Middleware[];
  /** The nearest router's first. */
  readonly errorHandlers: readonly ErrorHandler[];
  /** The nearest one that is given wins. */
  readonly defaults: Readonly<
    Pick<BrokerOptions, 'concurrency' | 'errorPolicy' | 'replies' | 'trimPast'>
  >;
  /** What becomes of failed messages, as far as it is said outside of the subscriber. */
  readonly failures: FailureOptions;
}

/** A subscriber with what it inherits: all that a plan is made from. */
export interface Declaration {
  readonly subscriber: Subscriber;
  readonly inherited: Inherited;
}

/** The handler with the data of its errors checked, where the contract declares any. */
function withContract(handler: HandlerFunction, contract: Contract): HandlerFunction {
  if (Object.keys(contract.errors).length === 0) return handler;
  return (body, ctx) => {
    try {
      const result = handler(body, ctx);
      if (isAsyncIterable(result)) return itemsOf(result, contract);
      return promiseIn(result)?.catch((error: unknown) => rethrow(contract, error)) ?? result;
    } catch (error) {
      return rethrow(contract, error);
    }
  };
}

async function* itemsOf(items: AsyncIterable<unknown>, contract: Contract): AsyncGenerator {
  try {
    yield* items;
  } catch (error) {
    await rethrow(contract, error);
  }
}
