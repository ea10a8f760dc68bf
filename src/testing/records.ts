import type { Tap } from '../broker/senders.ts';
import type { MessageContext } from '../api/context.ts';
import type { HandlerFunction } from '../api/middleware.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';
import type { Headers } from '../message/headers.ts';
import type { Message } from '../api/message.ts';
import type { PublishCommand } from '../api/middleware.ts';
import { EncodeError, SendError } from '../errors.ts';
import type { Target } from '../transport/address.ts';
import type { Subscriber } from '../broker/subscriber.ts';

/** One call of a handler that has ended. */
export interface HandledCall<Body = unknown, Result = unknown> {
  /** What the handler was given: decoded and validated; of a batch, the array. */
  readonly body: Body;
  /** The message; of a batch, its first. */
  readonly message: Message;
  /** What it returned; undefined where it threw. */
  readonly result: Result | undefined;
  /** What it threw; undefined where it returned. */
  readonly error: unknown;
}

/** One message that was sent. */
export interface PublishedMessage {
  readonly body: unknown;
  readonly headers: Headers;
  readonly correlationId: string;
  /** `request` for a call, `reply` for an answer. */
  readonly type: PublishCommand['type'];
}

interface Sent {
  readonly to: Target;
  readonly message: PublishedMessage;
}

/** Notes what brokers under test handle and send, from inside all middleware. */
export class Records implements Tap {
  readonly #handled: { readonly subscriber: Subscriber; readonly call: HandledCall }[] = [];
  readonly #sent: Sent[] = [];
  #running = 0;
  #rest: Deferred<void> | undefined;
  /** Answers that are still to be lost. */
  drops = 0;

  /** Resolves when no handler runs. */
  async atRest(): Promise<void> {
    if (this.#running === 0) return;
    this.#rest ??= deferred();
    await this.#rest.promise;
  }

  handler(subscriber: Subscriber, handler: HandlerFunction): HandlerFunction {
    return (body: unknown, ctx: MessageContext) => {
      const { message } = ctx;
      const end = (result: unknown, error: unknown): void => {
        this.#handled.push({ subscriber, call: { body, message, result, error } });
        if (--this.#running > 0) return;
        this.#rest?.resolve();
        this.#rest = undefined;
      };
      this.#running++;
      try {
        const result = (handler as (body: unknown, ctx: MessageContext) => unknown)(body, ctx);
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
    };
  }

  async publish(command: PublishCommand, next: () => Promise<unknown>): Promise<unknown> {
    if (command.type === 'reply' && this.drops > 0) {
      this.drops--;
      return 1; // as if it had reached its caller's connection, and got lost there
    }
    const { to, body, headers = {}, correlationId, type } = command;
    const texts = Object.entries(headers).map(([name, value]) => [name, String(value)]);
    const message = { body, headers: Object.fromEntries(texts) as Headers, correlationId, type };
    const sent = { to, message };
    this.#sent.push(sent);
    try {
      return await next();
    } catch (error) {
      // Of a batch, none is sent where one cannot be; only a call may be sent and fail all the same.
      const isUnsent =
        type !== 'request' || error instanceof EncodeError || error instanceof SendError;
      if (isUnsent) this.#sent.splice(this.#sent.indexOf(sent), 1);
      throw error;
    }
  }

  handledBy(isMeant: (subscriber: Subscriber) => boolean): HandledCall[] {
    return this.#handled.filter(({ subscriber }) => isMeant(subscriber)).map(({ call }) => call);
  }

  sentTo(kind: string, names: readonly string[]): PublishedMessage[] {
    return this.#sent
      .filter(({ to }) => to.kind === kind && names.includes(to.name))
      .map(({ message }) => message);
  }
}
