import type { MessageContext } from '../api/context.ts';
import type { FindErrorHandler } from '../api/error-handlers.ts';
import type { Invoke } from '../api/middleware.ts';
import type { Filter } from '../api/options.ts';
import type { MessageOptions } from '../api/message-options.ts';
import { DecodeError, NoMatchingHandlerError, messageOf } from '../errors.ts';
import { unixTime } from '../internal/clock.ts';
import { isAsyncIterable, promiseIn } from '../internal/promises.ts';
import { isError } from '../internal/thrown.ts';
import type { Codec } from '../message/codec.ts';
import type { Frame } from '../message/envelope.ts';
import { openFrame, rawFrame, type MessageFormat } from '../message/format.ts';
import { FOR_KEY, ReceivedMessage, type MessageSource } from '../message/message.ts';
import { bodyOf } from '../message/response.ts';
import { validateBody, type Validate } from '../message/schema.ts';
import { runWithParent } from '../rpc/parent.ts';
import { idOfCall } from '../rpc/responder/id-calls.ts';
import type { Replier } from '../rpc/responder/replier.ts';
import type { ServerClock } from '../transport/server-clock.ts';
import type { Delivery } from '../transport/source.ts';
import { HandlerContext, type Chosen, type ContextHost } from './context.ts';
import { foreignMessage } from './foreign-message.ts';
import { releasing, type Dependencies } from './inject.ts';
import { EXPIRED, SKIPPED, badInput, failed, notChosen, ok } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { withinTime, type TimeLimit } from './time-limit.ts';

/** Where a result is sent on to: a method's `@publisher`. */
export interface Forward {
  /** `path`: of the handled message. */
  forward(
    result: unknown,
    options: MessageOptions & { path: Readonly<Record<string, string>> },
  ): Promise<unknown>;
}

/** One handler of an address, ready to run. */
export interface Route extends Chosen {
  /** Sends its answers, through its own middleware. */
  readonly replier: Replier;
  readonly filter: Filter | undefined;
  readonly validate: Validate | undefined;
  /** Checks what is answered; of a stream of answers, each item. */
  readonly validateReply: Validate | undefined;
  readonly invoke: Invoke;
  /** Whether it returns promises; undefined until that is known. */
  isAsync: boolean | undefined;
  readonly forwards: readonly Forward[];
  /** Undefined where no error has a handler of its own. */
  readonly errorHandlers: FindErrorHandler | undefined;
}

/** The handlers of an address, in order of registration. */
export interface Routes {
  readonly all: readonly [Route, ...Route[]];
  /** For failures of messages that no handler was chosen for. Undefined where no error has a handler of its own. */
  readonly errorHandlers: FindErrorHandler | undefined;
}

/** What answers for a failure: of a handler, or of messages that no handler was chosen for. */
type Failing = Pick<Route, 'errorHandlers' | 'validateReply'>;

export interface DispatcherOptions {
  /** For errors: `list 'orders'`. */
  readonly address: string;
  /** Undefined where the real name varies (patterns). */
  readonly source: MessageSource | undefined;
  readonly match: ((channel: string) => Readonly<Record<string, string>> | undefined) | undefined;
  /** Of a stream. What was sent back for another group is skipped. */
  readonly group: string | undefined;
  /**
   * Handlers get bytes of their own: those of a reliable list's item are needed to acknowledge it, and
   * to deliver it again.
   */
  readonly copiesBytes: boolean;
  readonly codec: Codec;
  readonly format: MessageFormat;
  readonly routes: Routes;
  readonly host: ContextHost;
  /** The server's Unix milliseconds. */
  readonly clock: ServerClock;
}

/** One delivery on its way through: what it became, and how it ended. */
export interface Attempt {
  readonly delivery: Delivery;
  readonly message: ReceivedMessage;
  /** What the handler sees; the messages of a batch share one. */
  context: HandlerContext;
  /** That of the handler that was chosen; of the first one until then. */
  replier: Replier;
  /** The handler, once it has been called. */
  route: Route | undefined;
  /** The caller has its answer already: it was a stream, or another handler here answers it. */
  isAnswered: boolean;
  /** A call with an id, whose mark is held here until it is answered. */
  isClaimed: boolean;
  /** When its handling began, in monotonic milliseconds; 0 while nobody observes. */
  startedAt: number;
  /** Set as soon as it is known: right at the start where the message is not to be handled. */
  outcome: Outcome | undefined;
}

/** decode → choose the handler → validate → middleware → method → outcome, for one address. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  #routes!: Routes;
  /** The handler, where no filter has to choose it. */
  #only: Route | undefined;
  /** What answers for messages that no handler was chosen for: the handler without a filter, or the routers around. */
  #unchosen!: Failing;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.change(options.routes);
  }

  /** The first handler: what messages belong to until one is chosen. */
  get first(): Route {
    return this.#routes.all[0];
  }

  /** From now on messages are for these handlers. */
  change(routes: Routes): void {
    const { all, errorHandlers } = routes;
    this.#routes = routes;
    this.#only = all.length === 1 && all[0].filter === undefined ? all[0] : undefined;
    this.#unchosen = all.find(({ filter }) => filter === undefined) ?? {
      errorHandlers,
      validateReply: undefined,
    };
  }

  get clock(): ServerClock {
    return this.#options.clock;
  }

  /** Reads the frame and decodes the body. Never throws: what is wrong is in the outcome. */
  open(delivery: Delivery): Attempt {
    const { match, host, clock } = this.#options;
    const message = this.#message(delivery);
    const path = match?.(delivery.name);
    // Only callers wait, so only their messages can come too late.
    const sent = message.replyTo === undefined ? undefined : message.deadline;
    const { expires } = message;
    const now = sent === undefined && expires === undefined ? 0 : clock.now();
    // On this machine's clock; as far as the two clocks are known, not later than the caller's.
    const deadline = sent === undefined ? undefined : sent - now - clock.uncertainty + unixTime();
    // Work for a call with an id goes on when nobody waits: its answer is kept.
    const end = deadline !== undefined && idOfCall(message) !== undefined ? undefined : deadline;
    const context = new HandlerContext(host, message, delivery, path, end);
    let outcome: Outcome | undefined;
    if ((match !== undefined && path === undefined) || this.#isForAnother(message))
      outcome = SKIPPED;
    else if (deadline !== undefined && deadline < unixTime()) outcome = EXPIRED;
    else if (expires !== undefined && expires < now) outcome = EXPIRED;
    else if (message.damage !== undefined) outcome = badInput(message.damage, 'decode');
    return {
      delivery,
      message,
      context,
      replier: this.first.replier,
      route: undefined,
      isAnswered: false,
      isClaimed: false,
      startedAt: 0,
      outcome,
    };
  }

  /** Checks an opened message against its schema, for messages that are taken by hand and for batches. */
  async validate(attempt: Attempt): Promise<void> {
    const { validate } = this.first;
    if (attempt.outcome !== undefined || validate === undefined) return;
    try {
      attempt.message.body = await validateBody(validate, attempt.message);
    } catch (error) {
      attempt.outcome = badInput(error, 'validate');
    }
  }

  /** Runs the handler for what {@link open} opened. Synchronous where the handler is. */
  handle(attempt: Attempt): Outcome | Promise<Outcome> {
    if (attempt.outcome !== undefined)
      return this.#answerFailure(this.#unchosen, attempt.context, attempt.outcome);
    if (this.#only !== undefined) return this.#run(this.#only, attempt);
    return this.#choose(attempt.message).then(
      (route) => {
        attempt.replier = route.replier;
        return this.#run(route, attempt);
      },
      (error: unknown) => this.#answerFailure(this.#unchosen, attempt.context, notChosen(error)),
    );
  }

  /** Runs the handler once for a whole batch and sets every outcome. One bad item leaves the others as they are. */
  async handleBatch(batch: readonly Attempt[], limit?: TimeLimit): Promise<void> {
    const route = this.first;
    if (route.validate !== undefined)
      await Promise.all(batch.map((attempt) => this.validate(attempt)));
    for (const attempt of batch) {
      if (attempt.outcome !== undefined)
        attempt.outcome = await this.#answerFailure(route, attempt.context, attempt.outcome);
    }
    const good = batch.filter((attempt) => attempt.outcome === undefined);
    if (good.length === 0) return;
    const messages = good.map((attempt) => attempt.message);
    const deliveries = good.map((attempt) => attempt.delivery);
    const context = new HandlerContext(
      this.#options.host,
      messages[0] as ReceivedMessage,
      deliveries[0] as Delivery,
      undefined,
      undefined,
      { messages, deliveries },
    );
    const bodies = good.map((attempt) => attempt.message.body);
    const invoked = this.#invoke({ ...route, validateReply: undefined }, context, bodies);
    const whole = await withinTime(context, invoked, limit);
    // A returned array of the batch's length is one answer for each; anything else is the answer of all.
    const results: unknown = whole.kind === 'ok' ? whole.result : undefined;
    const each = Array.isArray(results) && results.length === good.length ? results : undefined;
    for (let i = 0; i < good.length; i++) {
      const attempt = good[i] as Attempt;
      attempt.context = context;
      attempt.route = route;
      const one =
        whole.kind === 'ok' ? this.#oneOf(route, context, each ? each[i] : results) : whole;
      // Waits only where something has to be waited for: a batch may have a thousand messages.
      attempt.outcome = one instanceof Promise ? await one : one;
    }
  }

  /** The outcome of one message of a batch. An error in its place of the returned array fails it alone. */
  #oneOf(route: Route, context: HandlerContext, result: unknown): Outcome | Promise<Outcome> {
    if (isError(result)) return this.#answerFailure(route, context, failed(result));
    return this.#checkReply(route, result);
  }

  /** Whether the message is a dead letter that was sent back for another reader of its stream. */
  #isForAnother(message: ReceivedMessage): boolean {
    if (message.id === undefined) return false;
    const group = message.header(FOR_KEY);
    return group !== undefined && group !== this.#options.group;
  }

  #message(delivery: Delivery): ReceivedMessage {
    const { name, id, count } = delivery;
    const { source = { channel: name }, codec, format, copiesBytes } = this.#options;
    if (!Buffer.isBuffer(delivery.frame)) return foreignMessage(delivery.frame, source, id, count);
    const frame = copiesBytes ? Buffer.from(delivery.frame) : delivery.frame;
    let opened: Frame;
    try {
      opened = openFrame(frame, format);
    } catch (error) {
      const raw = new ReceivedMessage(frame, rawFrame(frame), source, id, count);
      raw.damage = asDecodeError(error);
      return raw;
    }
    const message = new ReceivedMessage(frame, opened, source, id, count);
    const { oversized } = message;
    try {
      if (oversized === undefined) message.body = message.decode(codec);
      else message.damage = new DecodeError(`header '${oversized}' is longer than redstart reads`);
    } catch (error) {
      message.damage = asDecodeError(error);
    }
    return message;
  }

  /** In order of registration, those with a filter first: one without takes what is left. */
  async #choose(message: ReceivedMessage): Promise<Route> {
    for (const route of this.#routes.all) {
      if (route.filter !== undefined && (await route.filter(message))) return route;
    }
    const rest = this.#routes.all.find((route) => route.filter === undefined);
    if (rest === undefined) throw new NoMatchingHandlerError(this.#options.address);
    return rest;
  }

  #run(route: Route, attempt: Attempt): Outcome | Promise<Outcome> {
    const { context, message } = attempt;
    if (route.validate === undefined) {
      attempt.route = route;
      return this.#invoke(route, context, message.body);
    }
    let body: unknown;
    try {
      body = validateBody(route.validate, message);
    } catch (error) {
      return this.#answerFailure(route, context, badInput(error, 'validate'));
    }
    if (body instanceof Promise) return this.#runValidated(route, attempt, body);
    message.body = body;
    attempt.route = route;
    return this.#invoke(route, context, body);
  }

  async #runValidated(route: Route, attempt: Attempt, body: Promise<unknown>): Promise<Outcome> {
    const { context, message } = attempt;
    try {
      message.body = await body;
    } catch (error) {
      return this.#answerFailure(route, context, badInput(error, 'validate'));
    }
    attempt.route = route;
    return this.#invoke(route, context, message.body);
  }

  #invoke(route: Route, context: HandlerContext, body: unknown): Outcome | Promise<Outcome> {
    context.chosen = route;
    try {
      const result = runWithParent(context, route.isAsync, route.invoke, context, body);
      const later = promiseIn(result);
      if (later === undefined) {
        route.isAsync ??= false;
        return this.#end(route, context, result);
      }
      route.isAsync = true;
      return later.then(
        (value) => this.#end(route, context, value),
        (error: unknown) => this.#fail(route, context, error),
      );
    } catch (error) {
      return this.#fail(route, context, error);
    }
  }

  #end(route: Route, context: HandlerContext, result: unknown): Outcome | Promise<Outcome> {
    const { dependencies } = context;
    if (dependencies === undefined) return this.#checkReply(route, result);
    // What the stream's items are made with stays until the last.
    if (isAsyncIterable(result)) return ok(releasing(result, dependencies));
    return this.#release(route, context, dependencies, this.#checkReply(route, result));
  }

  #fail(route: Route, context: HandlerContext, error: unknown): Outcome | Promise<Outcome> {
    const { dependencies } = context;
    if (dependencies === undefined) return this.#answerFailure(route, context, failed(error));
    return this.#release(route, context, dependencies, failed(error));
  }

  async #release(
    route: Route,
    context: HandlerContext,
    dependencies: Dependencies,
    ended: Outcome | Promise<Outcome>,
  ): Promise<Outcome> {
    const outcome = await ended;
    const failure = await dependencies.release(outcome.kind === 'failed' ? outcome : undefined);
    return failure === undefined
      ? outcome
      : this.#answerFailure(route, context, failed(failure.error));
  }

  /** What a failure's own handler answers in its place; every other outcome as it is. */
  #answerFailure(
    route: Failing,
    context: HandlerContext,
    outcome: Outcome,
  ): Outcome | Promise<Outcome> {
    if (outcome.kind !== 'failed' || outcome.stage === 'exhausted') return outcome;
    const handle = route.errorHandlers?.(outcome.error) as Answer | undefined;
    if (handle === undefined) return outcome;
    // One that throws the same error again leaves it as it was: bad input is not tried again.
    const again = (error: unknown): Outcome => (error === outcome.error ? outcome : failed(error));
    try {
      const result = handle(outcome.error, context);
      const later = promiseIn(result);
      if (later === undefined) return this.#checkReply(route, result);
      return later.then((value) => this.#checkReply(route, value), again);
    } catch (error) {
      return again(error);
    }
  }

  /** Checks the result and leaves it as it is: the caller's schema makes its own output of it. */
  #checkReply(route: Failing, result: unknown): Outcome | Promise<Outcome> {
    // Each item of a stream is checked as it is sent.
    if (route.validateReply === undefined || isAsyncIterable(result)) return ok(result);
    try {
      const checked = promiseIn(route.validateReply(bodyOf(result)));
      return checked?.then(() => ok(result), failed) ?? ok(result);
    } catch (error) {
      return failed(error);
    }
  }
}

type Answer = (error: unknown, ctx: MessageContext) => unknown;

function asDecodeError(error: unknown): Error {
  if (error instanceof DecodeError) return error;
  return new DecodeError(`the message cannot be decoded: ${messageOf(error)}`, { cause: error });
}
