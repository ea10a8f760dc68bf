import type { MessageContext } from '../api/context.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';
import { extraHeaders, type Extras } from '../message/extras.ts';
import type { Headers } from '../message/headers.ts';
import type { Message } from '../api/message.ts';
import type { Middleware, PublishCommand } from '../api/middleware.ts';
import { EncodeError, SendError } from '../errors.ts';
import type { Target } from '../transport/address.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';

/** One call of a handler that has ended. */
export interface HandledCall<Body = unknown, Result = unknown> {
  /** The handler's first argument: the decoded and validated body; for a batch, the array of bodies. */
  readonly body: Body;
  /** The message; for a batch, its first. */
  readonly message: Message;
  /** What the handler returned; undefined if it threw. */
  readonly result: Result | undefined;
  /** What the handler threw; undefined if it returned. */
  readonly error: unknown;
}

/** One message that was sent. */
export interface PublishedMessage {
  readonly body: unknown;
  readonly headers: Headers;
  readonly correlationId: string;
  /** `publish`, `request` for a call, or `reply` for an answer. */
  readonly type: PublishCommand['type'];
  /** Milliseconds until it is due; only of a message that was sent with `delay`. */
  readonly delay?: number;
  /** When it is due; only of a message that was sent with `at`. */
  readonly at?: Date;
}

interface Sent {
  readonly to: Target;
  readonly message: PublishedMessage;
}

/** Records what brokers under test handle and send: middleware inside of all other. */
export class Records {
  readonly #handled: { readonly subscriber: SubscriberInfo; readonly call: HandledCall }[] = [];
  readonly #sent: Sent[] = [];
  #running = 0;
  /** Resolves when no handler runs. */
  #idle: Deferred<void> | undefined;
  /** How many of the next answers are dropped instead of sent. */
  drops = 0;

  readonly middleware: Middleware = {
    consume: (ctx, next) => this.#consume(ctx, next),
    publish: (command, next) => this.#publish(command, next),
  };

  /** Resolves when no handler runs. */
  async idle(): Promise<void> {
    if (this.#running === 0) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
  }

  #consume(ctx: MessageContext, next: () => unknown): unknown {
    const { message, messages, subscriber } = ctx;
    const body = subscriber.batch ? messages.map((one) => one.body) : message.body;
    const end = (result: unknown, error: unknown): void => {
      this.#handled.push({ subscriber, call: { body, message, result, error } });
      if (--this.#running > 0) return;
      this.#idle?.resolve();
      this.#idle = undefined;
    };
    this.#running++;
    try {
      const result = next();
      if (!(result instanceof Promise)) {
        end(result, undefined);
        return result;
      }
      return result.then(
        (value: unknown) => {
          end(value, undefined);
          return value;
        },
        (error: unknown) => {
          end(undefined, error);
          throw error;
        },
      );
    } catch (error) {
      end(undefined, error);
      throw error;
    }
  }

  async #publish(command: PublishCommand, next: () => Promise<unknown>): Promise<unknown> {
    if (command.type === 'reply' && this.drops > 0) {
      this.drops--;
      return 1; // one receiver, as if the answer were lost on the caller's side
    }
    const { to, body, headers, correlationId, type } = command;
    const extras: Extras = command.extras ?? {};
    const texts = Object.entries({ ...headers, ...extraHeaders(extras) }).map(([name, value]) => [
      name,
      String(value),
    ]);
    const { delay, at } = extras;
    const message = {
      body,
      headers: Object.fromEntries(texts) as Headers,
      correlationId,
      type,
      ...(delay === undefined ? {} : { delay }),
      ...(at === undefined ? {} : { at: new Date(at) }),
    };
    const sent = { to, message };
    this.#sent.push(sent);
    const forget = (): void => void this.#sent.splice(this.#sent.indexOf(sent), 1);
    try {
      const result = await next();
      // One with its id was sent before.
      if (extras.isKnown === true) forget();
      return result;
    } catch (error) {
      // A message that fails was not sent. Only a call can fail after its request was sent.
      const isUnsent =
        type !== 'request' || error instanceof EncodeError || error instanceof SendError;
      if (isUnsent) forget();
      throw error;
    }
  }

  handledBy(matches: (subscriber: SubscriberInfo) => boolean): HandledCall[] {
    return this.#handled.filter(({ subscriber }) => matches(subscriber)).map(({ call }) => call);
  }

  sentTo(kind: string, fits: (name: string) => boolean): PublishedMessage[] {
    return this.#sent
      .filter(({ to }) => to.kind === kind && fits(to.name))
      .map(({ message }) => message);
  }
}
