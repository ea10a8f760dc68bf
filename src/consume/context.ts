import type {
  Dependency,
  DependencyValue,
  MessageContext,
  NackOptions,
  NoInjections,
} from '../api/context.ts';
import type { Publishing } from '../api/publishing.ts';
import type { Sending } from '../api/sending.ts';
import type { MessageState } from '../api/state.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { CancelledError } from '../errors.ts';
import { milliseconds } from '../internal/checks.ts';
import { boundLogger, type Logger } from '../internal/logger.ts';
import { logFields } from '../message/log-fields.ts';
import type { ReceivedMessage } from '../message/message.ts';
import type { ParentMessage } from '../rpc/parent.ts';
import type { Delivery } from '../transport/source.ts';
import { Dependencies, type Overrides } from './inject.ts';
import type { Settlement } from './settlement.ts';

/** The handler that a message is for, as its context needs it. */
export interface Chosen {
  readonly subscriber: SubscriberInfo;
  /** What is sent through the result keeps the message's correlation id and deadline, and goes through the handler's middleware. */
  readonly sending: (parent: ParentMessage) => Sending;
}

/** What a context needs of the subscriber whose message it belongs to. */
export interface ContextHost {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides;
  /** What a message belongs to until a handler is chosen. */
  readonly first: Chosen;
  /** `after`: milliseconds before a nacked message comes again. */
  settle(context: HandlerContext, how: Settlement, after?: number): Promise<void> | undefined;
  /** Called when a handler first asks for its signal, so that a cancellation and `stop` can abort it. */
  watch(context: HandlerContext, controller: AbortController): void;
}

const NO_PATH: Readonly<Record<string, string>> = Object.freeze({});

/** The messages of a batch, and their deliveries in the same order. */
export interface Batch {
  readonly messages: readonly ReceivedMessage[];
  readonly deliveries: readonly Delivery[];
}

/** The context of one message, or of one batch, which then has its first message as `message`. What is not in {@link MessageContext} is for `consume/` alone. */
export class HandlerContext<
  Body = unknown,
  State extends object = NoInjections,
> implements MessageContext<Body, State> {
  readonly message: ReceivedMessage<Body>;
  readonly path: Readonly<Record<string, string>>;

  readonly #host: ContextHost;
  readonly #delivery: Delivery;
  #batch: Batch | undefined;
  readonly #deadline: number | undefined;
  #settlements: readonly Settlement[] | undefined;
  #dependencies: Dependencies | undefined;
  #controller: AbortController | undefined;
  #state: object | undefined;
  #chosen: Chosen;
  #logger: Logger | undefined;
  #sending: Sending | undefined;

  constructor(
    host: ContextHost,
    message: ReceivedMessage,
    delivery: Delivery,
    path?: Readonly<Record<string, string>>,
    deadline?: number,
    batch?: Batch,
  ) {
    this.message = message as ReceivedMessage<Body>;
    this.path = path ?? NO_PATH;
    this.#host = host;
    this.#delivery = delivery;
    this.#batch = batch;
    this.#deadline = deadline;
    this.#settlements = undefined;
    this.#dependencies = undefined;
    this.#controller = undefined;
    this.#state = undefined;
    this.#chosen = host.first;
    this.#logger = undefined;
    this.#sending = undefined;
  }

  get messages(): readonly ReceivedMessage[] {
    return this.#all().messages;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#host.watch(this, this.#controller);
    }
    return this.#controller.signal;
  }

  get logger(): Logger {
    return (this.#logger ??= boundLogger(this.#host.logger, {
      ...logFields(this.message),
      handler: this.#chosen.subscriber.title,
    }));
  }

  get subscriber(): SubscriberInfo {
    return this.#chosen.subscriber;
  }

  /** Set when the handler is chosen. */
  set chosen(handler: Chosen) {
    this.#chosen = handler;
  }

  get broker(): Publishing {
    return this.#host.broker;
  }

  get state(): MessageState & State {
    return (this.#state ??= {}) as MessageState & State;
  }

  get publish(): Sending['publish'] {
    return this.#sender().publish;
  }

  get request(): Sending['request'] {
    return this.#sender().request;
  }

  get requestMany(): Sending['requestMany'] {
    return this.#sender().requestMany;
  }

  get gather(): Sending['gather'] {
    return this.#sender().gather;
  }

  get clientFor(): Sending['clientFor'] {
    return this.#sender().clientFor;
  }

  async resolve<D extends Dependency>(dependency: D): Promise<DependencyValue<D>> {
    return (await this.need(dependency)) as DependencyValue<D>;
  }

  async ack(): Promise<void> {
    await this.#host.settle(this, 'ack');
  }

  /** A wrong option throws here, in the handler: a promise that nobody awaits would end the process. */
  nack({ after }: NackOptions = {}): Promise<void> {
    if (after !== undefined) milliseconds(after, 'after', 'ctx.nack');
    return this.#host.settle(this, 'nack', after) ?? Promise.resolve();
  }

  async reject(): Promise<void> {
    await this.#host.settle(this, 'reject');
  }

  /** The deliveries behind {@link messages}, in the same order. */
  get deliveries(): readonly Delivery[] {
    return this.#all().deliveries;
  }

  /** Unix milliseconds until which the caller waits. */
  get deadline(): number | undefined {
    return this.#deadline;
  }

  /** How the handler settled its messages, in their order; undefined where it did not. */
  get settlements(): readonly Settlement[] | undefined {
    return this.#settlements;
  }

  set settlements(all: readonly Settlement[] | undefined) {
    this.#settlements = all;
  }

  settlementOf(message: ReceivedMessage): Settlement | undefined {
    return this.#settlements?.[this.messages.indexOf(message)];
  }

  /** Aborts the signal, also one that nobody has asked for yet. */
  abort(reason: Error): void {
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }

  /** What was made for the handler, to be cleaned up after it. */
  get dependencies(): Dependencies | undefined {
    return this.#dependencies;
  }

  /** Whether the caller gave up, or its time is over. */
  get isCancelled(): boolean {
    return this.#controller?.signal.reason instanceof CancelledError;
  }

  /** Of the message; of a batch, of its first. */
  get correlationId(): string {
    return this.message.correlationId;
  }

  /** As {@link resolve}, without a promise where none is needed. */
  need(dependency: Dependency): unknown {
    this.#dependencies ??= new Dependencies(this.#host.overrides);
    return this.#dependencies.resolve(dependency, this);
  }

  /** Made when it is asked for: most handlers of one message do not. */
  #all(): Batch {
    return (this.#batch ??= { messages: [this.message], deliveries: [this.#delivery] });
  }

  #sender(): Sending {
    return (this.#sending ??= this.#chosen.sending(this));
  }
}
