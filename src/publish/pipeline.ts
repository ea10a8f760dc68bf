import type { EventContract } from '../api/contract.ts';
import { PipelineError, SetupError } from '../errors.ts';
import { checkOptions, flag, got, isObject, type Checks } from '../internal/checks.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import type { Destination, MessageOptions, SendOptions } from '../api/publishing.ts';
import type { Replies } from './together.ts';

export interface PipelineOptions {
  /** All or none are carried out, with no other client's commands between them (MULTI/EXEC). On a cluster all names must be in one slot. Default false. */
  transaction?: boolean;
}

const PIPELINE = { transaction: flag } satisfies Checks<PipelineOptions>;

/** One message that waits to be sent. */
export interface Collected {
  readonly body: unknown;
  readonly to: unknown;
  readonly more: object | undefined;
}

/** Messages for any addresses, collected and sent in one go. */
export class PublishPipeline {
  readonly #send: (messages: readonly Collected[], transaction: boolean) => Promise<Replies>;
  readonly #transaction: boolean;
  #messages: Collected[] = [];

  /** @internal */
  constructor(
    options: PipelineOptions,
    send: (messages: readonly Collected[], transaction: boolean) => Promise<Replies>,
  ) {
    if (!isObject(options)) {
      throw new SetupError(`pipeline: options must be an object, got ${got(options)}`);
    }
    checkOptions(options, PIPELINE, 'pipeline', 'a pipeline');
    this.#transaction = options.transaction ?? false;
    this.#send = send;
  }

  /** How many messages wait for `send`. */
  get size(): number {
    return this.#messages.length;
  }

  /** Adds what a contract describes. */
  publish<S extends Schema>(
    body: InputOf<S>,
    contract: EventContract<S>,
    options?: MessageOptions,
  ): this;
  /** Adds a message. Nothing is checked or sent before `send`. */
  publish(body: unknown, to: string | (Destination & SendOptions)): this;
  publish(body: unknown, to: unknown, more?: object): this {
    this.#messages.push({ body, to, more });
    return this;
  }

  /**
   * Sends all that was added, in one round trip, and is empty then. Resolves with what `publish`
   * would have given for each, in order: receivers, length or id. Rejects with `PipelineError`, which says how each
   * fared, where Redis refused some; with `SetupError`, `EncodeError`, `InvalidMessageError` where
   * one cannot be sent, and then none has been.
   */
  async send(): Promise<(number | string)[]> {
    const messages = this.#messages;
    this.#messages = [];
    const results = await this.#send(messages, this.#transaction);
    return results.map((result) => {
      if (result.status === 'rejected') throw new PipelineError(results);
      return result.value;
    });
  }
}
