import type { Logger } from '../internal/logger.ts';
import type { Message } from './message.ts';
import type { Publishing } from './publishing.ts';
import type { Sending } from './sending.ts';
import type { MessageState } from './state.ts';
import type { SubscriberInfo } from './subscriber-info.ts';

/**
 * Makes something that a handler needs, once for each message (a batch counts as one). It returns
 * the value or a promise of it, or it is a generator that yields the value once. The generator
 * continues when the handler has ended, before the answer is sent. If the handler failed, its error is
 * thrown at the `yield`, so that `try`/`catch`/`finally` around the `yield` work.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- what it reads of the body is its own to check
export type Dependency<T = unknown> = (ctx: MessageContext<any, any>) => T;

/** What a dependency makes. */
export type DependencyValue<D extends Dependency> =
  ReturnType<D> extends AsyncGenerator<infer T> | Generator<infer T> ? T : Awaited<ReturnType<D>>;

export interface NackOptions {
  /**
   * Milliseconds until the message is delivered again. This delivery is then not counted. Default: the pause of
   * `retry.backoff`.
   */
  after?: number;
}

/** Nothing is injected. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- what a mapped type over nothing is
export type NoInjections = Record<never, never>;

/** Parameters of a channel template, by name. */
export type PathParameters = Readonly<Record<string, string>>;

/** The second argument of every handler and the first of every middleware. */
export interface MessageContext<
  Body = unknown,
  State extends object = NoInjections,
  Path extends PathParameters = PathParameters,
> {
  /** The message; in a batch, its first. */
  readonly message: Message<Body>;
  /** All messages of a batch, in order; otherwise the one. */
  readonly messages: readonly Message[];
  /** Parameters of a channel template: `logs.{level}` gives `level`. */
  readonly path: Path;
  /** Aborts when the caller gives up or its deadline passes, and when `gracefulTimeout` ends at `stop`. */
  readonly signal: AbortSignal;
  /** The broker's logger. Each line also has `correlationId`, `id` (of the stream entry) and `handler`. */
  readonly logger: Logger;
  /** Which handler this is: title, address, class and method. */
  readonly subscriber: SubscriberInfo;
  readonly broker: Publishing;
  /** What middleware puts here and `inject` makes: one plain object for each message. */
  readonly state: MessageState & State;
  // What these send runs through the subscriber's own middleware. It keeps this message's correlation
  // id, and calls end by this message's deadline.
  /** As `broker.publish`. */
  readonly publish: Sending['publish'];
  /** As `broker.request`. */
  readonly request: Sending['request'];
  /** As `broker.requestMany`. */
  readonly requestMany: Sending['requestMany'];
  /** As `broker.gather`. */
  readonly gather: Sending['gather'];
  /** As `broker.clientFor`. */
  readonly clientFor: Sending['clientFor'];
  /** What a dependency makes for this message, as with `inject`: made once, cleaned up when the handler has ended. */
  resolve<D extends Dependency>(dependency: D): Promise<DependencyValue<D>>;
  /** Acknowledges the message now (XACK, LREM). Does nothing for channels, plain lists and streams without a group, and the second time. */
  ack(): Promise<void>;
  /**
   * The message is delivered again: after the pause of `retry.backoff`, or after `after` milliseconds;
   * then this delivery is not counted. A caller gets no answer yet. Does nothing for channels, plain lists and
   * streams without a group.
   */
  nack(options?: NackOptions): Promise<void>;
  /** Refuses the message: it is acknowledged and not delivered again; a caller gets an error. */
  reject(): Promise<void>;
}
