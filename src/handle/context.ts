import { CancelledError } from '../errors.ts';
import type { Logger } from '../internal/logger.ts';
import type { Message } from '../message/message.ts';
import type { MessageOptions, Publishing } from '../publish/publishing.ts';
import type { Delivery } from '../transport/transport.ts';
import type { Settlement } from './acknowledge.ts';

/** Somewhere that results are sent on to. */
export interface Onward {
  send(body: unknown, options: MessageOptions): Promise<unknown>;
}

/** What a context needs from the subscriber that it belongs to. */
export interface ContextHost {
  readonly logger: Logger;
  readonly broker: Publishing;
  publish(context: MessageContext, body: unknown, to: unknown, more?: object): Promise<unknown>;
  settle(context: MessageContext, how: Settlement): Promise<void> | undefined;
  /** Told when the first handler asks for its signal, so that `stop` can abort it. */
  watch(context: MessageContext, controller: AbortController): void;
}

const NO_PATH: Readonly<Record<string, string>> = Object.freeze({});

/** The second argument of every handler and the first of every middleware. */
export class MessageContext<Body = unknown> {
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
  /** What stands behind the messages, in the same order. @internal */
  readonly deliveries: readonly Delivery[];
  private readonly host: ContextHost;
  private controller: AbortController | undefined = undefined;
  private bag: Record<string, unknown> | undefined = undefined;

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
    return this.host.logger;
  }

  get broker(): Publishing {
    return this.host.broker;
  }

  /** What middleware wants to hand on: a plain object of this message's own. */
  get state(): Record<string, unknown> {
    return (this.bag ??= {});
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
