import { CancelledError } from '../errors.ts';
import type { Logger } from '../internal/logger.ts';
import type { Message } from '../message/message.ts';
import type { MessageOptions, Publishing } from './publishing.ts';
import type { Delivery } from '../transport/transport.ts';
import type { Settlement } from '../consume/acknowledge.ts';
import { Dependencies, type Overrides } from '../consume/dependencies.ts';
import type { MessageState } from './state.ts';

/** Somewhere that results are sent on to. */
export interface Onward {
  send(body: unknown, options: MessageOptions): Promise<unknown>;
}

/**
 * Makes something that a handler needs, once for each message (a batch counts as one): returns it, a
 * promise of it, or is a generator that yields it once. A generator goes on when the handler is
 * done, before its answer is sent; where the handler failed, its error is thrown at the `yield`, as if the
 * handler had been called there.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- what it reads of the body is its own to check
export type Dependency<T = unknown> = (ctx: MessageContext<any, any>) => T;

/** What a dependency makes. */
export type ValueOf<D extends Dependency> =
  ReturnType<D> extends AsyncGenerator<infer T> | Generator<infer T> ? T : Awaited<ReturnType<D>>;

/** Nothing is injected. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- what a mapped type over nothing is
export type NoInjections = Record<never, never>;

/** What a broker gives to all its handlers. */
export interface Surroundings {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides<MessageContext>;
}

/** What a context needs from the subscriber that it belongs to. */
export interface ContextHost {
  readonly surroundings: Surroundings;
  publish(context: MessageContext, body: unknown, to: unknown, more?: object): Promise<unknown>;
  settle(context: MessageContext, how: Settlement): Promise<void> | undefined;
  /** Told when the first handler asks for its signal, so that `stop` can abort it. */
  watch(context: MessageContext, controller: AbortController): void;
}

const NO_PATH: Readonly<Record<string, string>> = Object.freeze({});

/** The second argument of every handler and the first of every middleware. */
export class MessageContext<Body = unknown, State extends object = NoInjections> {
  /** The message; in a batch, its first. */
  readonly message: Message<Body>;
  /** All messages of a batch, in order; otherwise the one. */
  readonly messages: readonly Message[];
  /** Parameters of a channel template: `logs.{level}` gives `level`. */
  readonly path: Readonly<Record<string, string>>;

  /** Unix milliseconds until which the caller waits. @internal */
  readonly deadline: number | undefined;
  /** How the handler settled its message, if it did. @internal */
  settlement: Settlement | undefined = undefined;
  /** Where the result is sent on to, once it is known which handler runs. @internal */
  onward: readonly Onward[] = [];
  /** Checks each item, where the handler answers with a stream. @internal */
  validateItem: ((value: unknown) => unknown) | undefined = undefined;
  /** What was made for the handler. @internal */
  dependencies: Dependencies<MessageContext> | undefined = undefined;
  /** What stands behind the messages, in the same order. @internal */
  readonly deliveries: readonly Delivery[];
  private readonly host: ContextHost;
  private controller: AbortController | undefined = undefined;
  private bag: object | undefined = undefined;

  /** @internal */
  constructor(
    host: ContextHost,
    messages: readonly Message[],
    deliveries: readonly Delivery[],
    path?: Readonly<Record<string, string>>,
    deadline?: number,
  ) {
    this.host = host;
    this.deadline = deadline;
    this.deliveries = deliveries;
    this.message = messages[0] as Message<Body>;
    this.messages = messages;
    this.path = path ?? NO_PATH;
  }

  /** Aborts when the caller gives up or its deadline passes, and when the broker's patience at `stop` ends. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      this.host.watch(this, this.controller);
    }
    return this.controller.signal;
  }

  /** Whether the caller gave up, or its time is over. @internal */
  get isCancelled(): boolean {
    return this.controller?.signal.reason instanceof CancelledError;
  }

  get logger(): Logger {
    return this.host.surroundings.logger;
  }

  get broker(): Publishing {
    return this.host.surroundings.broker;
  }

  /** What middleware hands on and `inject` makes: a plain object of this message's own. */
  get state(): MessageState & State {
    return (this.bag ??= {}) as MessageState & State;
  }

  /** What a dependency makes for this message, as `inject` gives it: made once, cleaned up when the handler is done. */
  async resolve<D extends Dependency>(dependency: D): Promise<ValueOf<D>> {
    return (await this.need(dependency)) as ValueOf<D>;
  }

  /** The same without a promise where none is needed. @internal */
  need(dependency: Dependency): unknown {
    this.dependencies ??= new Dependencies(this.host.surroundings.overrides);
    return this.dependencies.resolve(dependency, this);
  }

  /** Publishes as the broker does, and keeps this message's correlation id. */
  get publish(): Publishing['publish'] {
    return ((...args: Parameters<Publishing['publish']>) =>
      this.host.publish(this, ...args)) as Publishing['publish'];
  }

  /** Acknowledges the message now (XACK). Does nothing where there is nothing to acknowledge, or a second time. */
  async ack(): Promise<void> {
    await this.host.settle(this, 'ack');
  }

  /** Leaves the message pending and has it delivered again after a backoff. A caller gets no answer yet. */
  async nack(): Promise<void> {
    await this.host.settle(this, 'nack');
  }

  /** Refuses the message for good: acknowledged, not delivered again; a caller gets an error. */
  async reject(): Promise<void> {
    await this.host.settle(this, 'reject');
  }
}
