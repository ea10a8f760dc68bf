import { unixTime } from '../internal/clock.ts';
import { isUtf8 } from 'node:buffer';
import { DecodeError, NoMatchingHandlerError, messageOf } from '../errors.ts';
import type { Codec } from '../message/codec.ts';
import type { Frame } from '../message/envelope.ts';
import { openFrame, rawFrame, type MessageFormat } from '../message/format.ts';
import { Message, type MessageSource } from '../message/message.ts';
import { bodyOf, Response } from '../message/response.ts';
import type { Validate } from '../message/schema.ts';
import type { Delivery } from '../transport/transport.ts';
import { MessageContext, type ContextHost, type Onward } from '../api/context.ts';
import type { Dependencies } from './dependencies.ts';
import type { FindErrorHandler } from '../api/error-handlers.ts';
import type { Invoke } from '../api/middleware.ts';
import { EXPIRED, SKIPPED, badInput, failed, ok, type Outcome } from './outcome.ts';
import { runInScope } from '../rpc/deadline.ts';

/** Whether a handler takes a message. The body is decoded and not yet validated. */
export type Filter = (message: Message) => boolean | Promise<boolean>;

/** One handler of an address, ready to run. */
export interface Route {
  readonly filter: Filter | undefined;
  readonly validate: Validate | undefined;
  /** Checks what is answered. */
  readonly validateReply: Validate | undefined;
  readonly invoke: Invoke;
  /** Whether it is known to return promises. */
  isAsync: boolean;
  /** Where the result is sent on to. */
  readonly onward: readonly Onward[];
  /** Undefined where no error is handled. */
  readonly errorHandlers: FindErrorHandler | undefined;
}

export interface PipelineOptions {
  /** For errors: `list 'orders'`. */
  readonly address: string;
  /** Undefined where the concrete name varies (patterns). */
  readonly source: MessageSource | undefined;
  readonly match: ((channel: string) => Readonly<Record<string, string>> | undefined) | undefined;
  readonly codec: Codec;
  readonly format: MessageFormat;
  readonly routes: readonly Route[];
  /** For messages that no handler was chosen for. */
  readonly errorHandlers: FindErrorHandler | undefined;
  readonly host: ContextHost;
}

/** A delivery on its way through: what it became, and how it ended. */
export interface Work {
  readonly delivery: Delivery;
  readonly message: Message;
  /** What the handler sees; a batch shares one. */
  context: MessageContext;
  /** The caller has its answer already: it was a stream. */
  isAnswered?: boolean;
  /** Set once it is known; at once where the message is not to be handled. */
  outcome: Outcome | undefined;
}

/** decode → choose the handler → validate → middleware → method → outcome, for one address. */
export class Pipeline {
  readonly #options: PipelineOptions;
  /** The handler, where no filter has to choose it. */
  readonly #only: Route | undefined;
  /** Who answers for messages that no handler was chosen for: the handler without a filter, or the routers around. */
  readonly #unchosen: Pick<Route, 'errorHandlers' | 'validateReply'>;

  constructor(options: PipelineOptions) {
    this.#options = options;
    const [first] = options.routes;
    if (options.routes.length === 1 && first?.filter === undefined) this.#only = first;
    this.#unchosen = options.routes.find(({ filter }) => filter === undefined) ?? {
      errorHandlers: options.errorHandlers,
      validateReply: undefined,
    };
  }

  /** Reads the frame and decodes the body. Never throws: what is wrong is in the outcome. */
  open(delivery: Delivery): Work {
    const { match, host } = this.#options;
    const [message, problem] = this.#message(delivery);
    const path = match?.(delivery.name);
    // Only callers wait, so only their messages can come too late.
    const deadline = message.replyTo === undefined ? undefined : message.deadline;
    const context = new MessageContext(host, [message], [delivery], path, deadline);
    let outcome: Outcome | undefined;
    if (match !== undefined && path === undefined) outcome = SKIPPED;
    else if (deadline !== undefined && deadline < unixTime()) outcome = EXPIRED;
    else if (problem !== undefined) outcome = badInput(problem);
    return { delivery, message, context, outcome };
  }

  /** Checks an opened message against its schema, for those who take it without a handler. */
  async validate(work: Work): Promise<void> {
    const { validate } = this.#options.routes[0] as Route;
    if (work.outcome !== undefined || validate === undefined) return;
    try {
      work.message.body = await validate(work.message.body);
    } catch (error) {
      work.outcome = badInput(error);
    }
  }

  /** Runs the handler for what {@link open} opened. Synchronous where the handler is. */
  handle({ context, outcome }: Work): Outcome | Promise<Outcome> {
    if (outcome !== undefined) return this.#answerFor(this.#unchosen, context, outcome);
    if (this.#only !== undefined) return this.#run(this.#only, context);
    return this.#choose(context).then(
      (route) => this.#run(route, context),
      (error: unknown) => this.#answerFor(this.#unchosen, context, badInput(error)),
    );
  }

  /** Runs the handler once for a whole batch and fills in every outcome. One bad item does not spoil its neighbours. */
  async handleBatch(batch: readonly Work[]): Promise<void> {
    const route = this.#options.routes[0] as Route;
    if (route.validate !== undefined) await Promise.all(batch.map((work) => this.validate(work)));
    for (const work of batch) {
      if (work.outcome !== undefined)
        work.outcome = await this.#answerFor(route, work.context, work.outcome);
    }
    const good = batch.filter((work) => work.outcome === undefined);
    if (good.length === 0) return;
    const context = new MessageContext(
      this.#options.host,
      good.map((work) => work.message),
      good.map((work) => work.delivery),
    );
    const bodies = good.map((work) => work.message.body);
    const whole = await this.#invoke({ ...route, validateReply: undefined }, context, bodies);
    // A returned array of the batch's length is one answer for each; anything else is the answer of all.
    const results: unknown = whole.kind === 'ok' ? whole.result : undefined;
    const each = Array.isArray(results) && results.length === good.length ? results : undefined;
    for (const [i, work] of good.entries()) {
      work.context = context;
      work.outcome =
        whole.kind === 'ok' ? await this.#conclude(route, each ? each[i] : results) : whole;
    }
  }

  #message({ frame, name, id, count }: Delivery): [Message, problem?: unknown] {
    const { source = { channel: name }, codec, format } = this.#options;
    if (!Buffer.isBuffer(frame)) return [foreignMessage(frame, source, id, count)];
    let opened: Frame;
    try {
      opened = openFrame(frame, format);
    } catch (error) {
      return [new Message(frame, rawFrame(frame), source, id, count), asDecodeError(error)];
    }
    const message = new Message(frame, opened, source, id, count);
    try {
      message.body = codec.decode(message.payload, message.contentType);
      return [message];
    } catch (error) {
      return [message, asDecodeError(error)];
    }
  }

  /** In order of registration, those with a filter first: one without takes what is left. */
  async #choose({ message }: MessageContext): Promise<Route> {
    for (const route of this.#options.routes) {
      if (route.filter !== undefined && (await route.filter(message))) return route;
    }
    const rest = this.#options.routes.find((route) => route.filter === undefined);
    if (rest === undefined) throw new NoMatchingHandlerError(this.#options.address);
    return rest;
  }

  #run(route: Route, context: MessageContext): Outcome | Promise<Outcome> {
    if (route.validate === undefined) return this.#invoke(route, context, context.message.body);
    let body: unknown;
    try {
      body = route.validate(context.message.body);
    } catch (error) {
      return this.#answerFor(route, context, badInput(error));
    }
    const later = promiseIn(body);
    if (later !== undefined) return this.#runValidated(route, context, later);
    context.message.body = body;
    return this.#invoke(route, context, body);
  }

  async #runValidated(
    route: Route,
    context: MessageContext,
    body: Promise<unknown>,
  ): Promise<Outcome> {
    try {
      context.message.body = await body;
    } catch (error) {
      return this.#answerFor(route, context, badInput(error));
    }
    return this.#invoke(route, context, context.message.body);
  }

  #invoke(route: Route, context: MessageContext, body: unknown): Outcome | Promise<Outcome> {
    context.onward = route.onward;
    context.validateItem = route.validateReply;
    try {
      const result =
        context.deadline === undefined
          ? route.invoke(context, body)
          : runInScope(context, route.isAsync, route.invoke, context, body);
      const later = promiseIn(result);
      if (later === undefined) return this.#end(route, context, result);
      route.isAsync = true;
      return later.then(
        (value) => this.#end(route, context, value),
        (error: unknown) => this.#fail(route, context, error),
      );
    } catch (error) {
      return this.#fail(route, context, error);
    }
  }

  #end(route: Route, context: MessageContext, result: unknown): Outcome | Promise<Outcome> {
    const { dependencies } = context;
    if (dependencies === undefined) return this.#conclude(route, result);
    // What the stream's items are made with stays until the last.
    if (isAsyncIterable(result)) return ok(releasing(result, dependencies));
    return this.#release(route, context, dependencies, this.#conclude(route, result));
  }

  #fail(route: Route, context: MessageContext, error: unknown): Outcome | Promise<Outcome> {
    const { dependencies } = context;
    if (dependencies === undefined) return this.#answerFor(route, context, failed(error));
    return this.#release(route, context, dependencies, failed(error));
  }

  async #release(
    route: Route,
    context: MessageContext,
    dependencies: Dependencies<MessageContext>,
    ended: Outcome | Promise<Outcome>,
  ): Promise<Outcome> {
    const outcome = await ended;
    const failure = await dependencies.release(outcome.kind === 'failed' ? outcome : undefined);
    return failure === undefined ? outcome : this.#answerFor(route, context, failed(failure.error));
  }

  /** What a failure's own handler answers in its place; every other outcome as it is. */
  #answerFor(
    route: Pick<Route, 'errorHandlers' | 'validateReply'>,
    context: MessageContext,
    outcome: Outcome,
  ): Outcome | Promise<Outcome> {
    if (outcome.kind !== 'failed' || outcome.isFinal === true) return outcome;
    const handle = route.errorHandlers?.(outcome.error) as Answer | undefined;
    if (handle === undefined) return outcome;
    // One that throws the same error again leaves it as it was: bad input is not tried again.
    const again = (error: unknown): Outcome => (error === outcome.error ? outcome : failed(error));
    try {
      const result = handle(outcome.error, context);
      const later = promiseIn(result);
      if (later === undefined) return this.#conclude(route, result);
      return later.then((value) => this.#conclude(route, value), again);
    } catch (error) {
      return again(error);
    }
  }

  #conclude(route: Pick<Route, 'validateReply'>, result: unknown): Outcome | Promise<Outcome> {
    // Each item of a stream is checked as it is sent.
    if (route.validateReply === undefined || isAsyncIterable(result)) return ok(result);
    const body = bodyOf(result);
    const accept = (checked: unknown): Outcome =>
      ok(
        result instanceof Response
          ? Object.assign(Object.create(result), { body: checked })
          : checked,
      );
    try {
      const checked = route.validateReply(body);
      return promiseIn(checked)?.then(accept, failed) ?? accept(checked);
    } catch (error) {
      return failed(error);
    }
  }
}

type Answer = (error: unknown, ctx: MessageContext) => unknown;

/** The items as they come, and after the last, or where somebody leaves early, the cleaning up. */
async function* releasing(
  items: AsyncIterable<unknown>,
  dependencies: Dependencies<MessageContext>,
): AsyncGenerator<unknown, void> {
  let failure: { error: unknown } | undefined;
  try {
    yield* items;
  } catch (error) {
    failure = { error };
  } finally {
    failure = await dependencies.release(failure);
  }
  if (failure !== undefined) throw failure.error;
}

/** An entry that somebody else wrote to a stream: its fields as an object, text where they are text. */
function foreignMessage(
  fields: readonly Buffer[],
  source: MessageSource,
  id: string | undefined,
  count: number,
): Message {
  const values: [string, string | Buffer][] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    values.push([String(fields[i]), textOrBytes(fields[i + 1] as Buffer)]);
  }
  const body = Object.fromEntries(values);
  const raw = Buffer.from(JSON.stringify(body));
  const message = new Message(raw, rawFrame(raw), source, id, count);
  message.body = body;
  return message;
}

function textOrBytes(value: Buffer): string | Buffer {
  return isUtf8(value) ? value.toString() : value;
}

function asDecodeError(error: unknown): Error {
  if (error instanceof DecodeError) return error;
  return new DecodeError(`the message cannot be decoded: ${messageOf(error)}`, { cause: error });
}

/** Whether a handler answered with many values. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    typeof (value as AsyncIterable<unknown> | null | undefined)?.[Symbol.asyncIterator] ===
    'function'
  );
}

/** The promise in `value`, if it is one of any kind. */
function promiseIn(value: unknown): Promise<unknown> | undefined {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function')
    return undefined;
  return Promise.resolve(value);
}
