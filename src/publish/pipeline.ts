import type { AnyPublisher } from '../api/handlers.ts';
import { composePublish, type PublishCommand, type PublishMiddleware } from '../api/middleware.ts';
import type { BodyFor, OptionsBeside, PipelineTo } from '../api/publishing.ts';
import type { PipelinedEventOptions } from '../api/event-options.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import type { CollectedByPublisher, CollectedMessage } from './collected.ts';
import { PipelineError, RedstartError, SendError, SetupError } from '../errors.ts';
import { checkOptions, flag, got, isObject, type Checks } from '../internal/checks.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';
import { describe, type Target } from '../transport/address.ts';
import type { Outbound, Transport } from '../transport/transport.ts';

export interface PublishPipelineOptions {
  /**
   * Sends in one transaction (MULTI/EXEC): no command of another client runs in between. If Redis refuses a
   * command when it arrives (a missing right, no memory), or if a key has another type (TYPE, asked before), none
   * runs. Redis undoes nothing: if somebody changes the type of a key between TYPE and MULTI, the other
   * commands run. On a cluster all names must be in one slot. Default `false`.
   */
  transaction?: boolean;
}

const PIPELINE = { transaction: flag } satisfies Checks<PublishPipelineOptions>;

/** The result of each message, in order: receivers, length or id, or the error if it was not sent. */
export type Results = PromiseSettledResult<number | string>[];

/** What a pipeline asks of a publisher. */
interface Collecting {
  collected(body: unknown, options: object): CollectedByPublisher;
}

/** Collects messages for any addresses, and sends them in one round trip. */
export class PublishPipeline {
  readonly #send: (messages: readonly CollectedMessage[], transaction: boolean) => Promise<Results>;
  readonly #transaction: boolean;
  readonly #prefix: string;
  #messages: CollectedMessage[] = [];

  /** @internal */
  constructor(
    options: PublishPipelineOptions,
    prefix: string,
    send: (messages: readonly CollectedMessage[], transaction: boolean) => Promise<Results>,
  ) {
    if (!isObject(options)) {
      throw new SetupError(`pipeline: options must be an object, got ${got(options)}`);
    }
    checkOptions(options, PIPELINE, 'pipeline', 'a pipeline');
    this.#transaction = options.transaction ?? false;
    this.#send = send;
    this.#prefix = prefix;
  }

  /** The number of messages that the next `send` sends. */
  get size(): number {
    return this.#messages.length;
  }

  /** Adds a message, by an event's contract or for another destination. It is checked and sent by `send`. */
  publish<const To>(
    body: BodyFor<To>,
    to: PipelineTo<To>,
    ...options: OptionsBeside<To, never, PipelinedEventOptions<BodyFor<To>>>
  ): this;
  publish(body: unknown, to: unknown, more?: object): this {
    this.#messages.push({ body, to, more });
    return this;
  }

  /**
   * Adds a message by a publisher of this broker: to its place, with its defaults, checked by its schema.
   * Throws `SetupError` for a publisher whose messages are not written as those of the pipeline: a router's
   * with a prefix, and one with a `codec` or a `format`.
   */
  publishBy<S extends Schema>(
    publisher: AnyPublisher<S>,
    body: InputOf<S>,
    options: PipelinedEventOptions<InputOf<S>> & { path?: Readonly<Record<string, string>> } = {},
  ): this {
    const given = publisher as unknown as Partial<Collecting> | undefined;
    if (typeof given?.collected !== 'function')
      throw new SetupError(
        `pipeline: publishBy expects a publisher, made by broker.publisher(address), got ${got(publisher)}`,
      );
    const { prefix, ...message } = given.collected(body, options);
    if (prefix !== this.#prefix)
      throw new SetupError(
        `pipeline: the publisher's names begin with '${prefix}', those of the pipeline with '${this.#prefix}': use a publisher of this broker`,
      );
    this.#messages.push(message);
    return this;
  }

  /**
   * Sends all added messages in one round trip; the pipeline is empty afterwards. Resolves with the
   * result of each, in order: receivers, length or id. Rejects with `PipelineError` if Redis refused
   * some; its `results` has the result of each. Rejects with `SetupError`, `EncodeError` or
   * `InvalidMessageError` if a message is invalid; then nothing was sent.
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

/** A message of a batch or a pipeline while its middleware runs. */
interface PassingMessage {
  readonly command: PublishCommand;
  /** Resolves when its middleware has called `next()`, or has ended without calling it. */
  readonly decided: Deferred<void>;
  /** What `next()` resolves with. */
  readonly sent: Deferred<number | string>;
  /** The frame to send; undefined unless middleware has called `next()`. */
  outbound: Outbound | undefined;
}

/**
 * Runs the middleware of each command, then sends those commands for which it called `next()`: one
 * call of `send`, in the order of the commands. If an error is thrown before that, nothing is sent,
 * and this rejects with the first error.
 */
export async function sendTogether(
  commands: readonly PublishCommand[],
  middlewares: readonly PublishMiddleware[],
  prepare: (command: PublishCommand) => Outbound,
  send: (outbound: readonly Outbound[]) => Promise<Results>,
): Promise<Results> {
  if (middlewares.length === 0) {
    return send(commands.map(prepare));
  }
  let isSending = false;
  let firstError: { readonly error: unknown } | undefined;
  const messages = commands.map<PassingMessage>((command) => ({
    command,
    decided: deferred(),
    sent: deferred(),
    outbound: undefined,
  }));
  const pass = async (message: PassingMessage): Promise<number | string> => {
    const run = composePublish(middlewares, async (command) => {
      if (!isSending) message.outbound = prepare(command);
      else if (message.outbound === undefined) throw tooLate();
      message.decided.resolve();
      return message.sent.promise;
    });
    try {
      return (await run(message.command)) as number | string;
    } catch (error) {
      if (!isSending) firstError ??= { error };
      throw error;
    } finally {
      message.decided.resolve();
    }
  };
  const results = Promise.allSettled(messages.map(pass));
  await Promise.all(messages.map(({ decided }) => decided.promise));
  isSending = true;
  const passed = messages.filter(({ outbound }) => outbound !== undefined);
  try {
    if (firstError !== undefined) throw firstError.error;
    const outbound = passed.map((message) => message.outbound as Outbound);
    const sent = outbound.length === 0 ? [] : await send(outbound);
    for (const [i, result] of sent.entries()) {
      const message = passed[i] as PassingMessage;
      if (result.status === 'fulfilled') message.sent.resolve(result.value);
      else message.sent.reject(result.reason);
    }
  } catch (error) {
    for (const { sent } of passed) sent.reject(error);
  }
  const ended = await results;
  if (firstError !== undefined) throw firstError.error;
  return ended;
}

function tooLate(): SetupError {
  return new SetupError(
    'publish middleware called next() after it had answered for its message: the others of its batch or pipeline have been sent',
  );
}

/** Sends frames to any targets in one round trip. Never rejects: the results hold the errors. */
export async function sendFrames(
  transport: Transport,
  outbound: readonly Outbound[],
  transaction: boolean,
): Promise<Results> {
  try {
    const results = await transport.sendAll(outbound, transaction);
    return results.map((result, i) =>
      result.status === 'fulfilled' ? result : rejected(outbound[i] as Outbound, result.reason),
    );
  } catch (error) {
    return outbound.map((one) => rejected(one, error));
  }
}

/** Sends a batch in one round trip: where plain commands send all and all of it still goes to the list that was given, with one RPUSH. */
export async function sendBatchFrames(
  transport: Transport,
  target: Target,
  outbound: readonly Outbound[],
): Promise<Results> {
  const { kind, name } = target;
  if (
    kind !== 'list' ||
    outbound.some(
      ({ to, once, later }) =>
        to.name !== name || to.kind !== kind || once !== undefined || later !== undefined,
    )
  ) {
    return sendFrames(transport, outbound, false);
  }
  const frames = outbound.map(({ frame }) => frame);
  const length = await transport.sendBatch(target, frames).catch((error: unknown) => {
    throw asSendError(target, error);
  });
  // Redis answers with the final length; this is the length after each message.
  const before = (length as number) - frames.length;
  return frames.map((_, i) => ({ status: 'fulfilled', value: before + i + 1 }));
}

function rejected({ to }: Outbound, error: unknown): PromiseRejectedResult {
  return { status: 'rejected', reason: asSendError(to, error) };
}

/** The error that a publish rejects with if the transport could not send. */
export function asSendError(to: Target, error: unknown): RedstartError {
  return error instanceof RedstartError ? error : new SendError(describe(to), error);
}
