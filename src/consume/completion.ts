import type { FailureStage, Observers } from '../api/observer.ts';
import {
  BrokerClosedError,
  EncodeError,
  ExpiredError,
  NoMatchingHandlerError,
  NoReplyError,
  Retry,
  RpcError,
} from '../errors.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';
import { bodyOf, isResponse } from '../message/response.ts';
import type { IdCalls } from '../rpc/responder/id-calls.ts';
import { GATHER_KEY } from '../message/message.ts';
import { Replier } from '../rpc/responder/replier.ts';
import type { Delivery } from '../transport/source.ts';
import type { Breaker } from './breaker.ts';
import type { Attempt } from './dispatcher.ts';
import { failed, type Outcome } from './outcome.ts';
import type { Decision, Log, Settler } from './settlement.ts';

/** Answers and acknowledgements that may be under way before the next message has to wait. */
const MAX_FINISHING = 1_024;

export interface CompletionOptions {
  /** For errors: `list 'orders' (Orders.place)`. */
  readonly name: () => string;
  readonly noReply: boolean;
  readonly settler: Settler;
  readonly idCalls: IdCalls;
  readonly observers: Observers;
  /** Whether nobody but this subscriber could answer a message here: then the caller is told that nobody will. */
  readonly isLastResort: (delivery: Delivery, isForAll: boolean) => boolean | Promise<boolean>;
  /** Called for a request that came too late to be handled. */
  readonly onExpired: () => void;
  readonly log: Log;
  readonly breaker: Breaker | undefined;
}

/** Carries out what follows from an outcome, in this order: log → answer → forward → settle. */
export class Completion {
  readonly #options: CompletionOptions;
  readonly #settler: Settler;
  /** Messages whose handler is done and whose answer or acknowledgement is not. */
  #finishing = 0;
  #room: Deferred<void> | undefined;

  constructor(options: CompletionOptions) {
    this.#options = options;
    this.#settler = options.settler;
  }

  /** Never throws. The promise, if any, holds back the next message. */
  finish(attempt: Attempt, outcome: Outcome): Promise<void> | undefined {
    const { message, delivery } = attempt;
    const decision = this.#settler.decide(outcome, message, delivery);
    this.#options.breaker?.after(outcome, decision);
    this.#log(attempt, outcome, decision);
    const [final, answer] = this.#answer(attempt, outcome, decision);
    const isForwarded = forwards(attempt, final);
    if (answer === undefined && !isForwarded) {
      const last = final === outcome ? decision : this.#settler.decide(final, message, delivery);
      if (attempt.isClaimed) this.#release(attempt, last);
      return this.#settle(attempt, final, last);
    }
    this.#finishing++;
    void this.#finishLater(attempt, final, answer, isForwarded);
    if (this.#finishing < MAX_FINISHING) return undefined;
    this.#room ??= deferred();
    return this.#room.promise;
  }

  /** Resolves when nothing is under way. */
  async finished(): Promise<void> {
    while (this.#finishing > 0) {
      this.#room ??= deferred();
      await this.#room.promise;
    }
  }

  /** Tells a caller that nobody answers here, unless somebody else may. */
  decline(attempt: Attempt, error: Error): void {
    if (!Replier.isCall(attempt.message)) return;
    const { isLastResort } = this.#options;
    const { message, delivery, replier } = attempt;
    const isForAll = message.header(GATHER_KEY) !== undefined;
    const refuse = async (): Promise<unknown> =>
      (await isLastResort(delivery, isForAll)) ? replier.refuse(message, error, true) : undefined;
    void this.#deliver(attempt, refuse());
  }

  /** Tells a caller why its request is not handled. */
  async refuse(attempt: Attempt, error: Error): Promise<void> {
    const refused = this.#refuse(attempt, error);
    if (refused !== undefined) await this.#deliver(attempt, refused);
  }

  /** The id of a call that was not answered is free again. */
  #release({ message, context }: Attempt, { how }: Decision): void {
    const comesAgain =
      context.settlements === undefined
        ? how === 'nack' || how === 'pending'
        : context.settlementOf(message) === 'nack';
    this.#options.idCalls.release(message, comesAgain);
  }

  /** Settles after the answer is out: a crash between the two repeats the work, and loses none. */
  async #finishLater(
    attempt: Attempt,
    outcome: Outcome,
    answer: Promise<unknown> | undefined,
    isForwarded: boolean,
  ): Promise<void> {
    let final = outcome;
    try {
      if (answer !== undefined) {
        const unsendable = await this.#deliver(attempt, answer);
        if (unsendable !== undefined) final = failed(unsendable);
      }
      if (isForwarded && final.kind === 'ok') final = await this.#forward(attempt, final);
      const { needsAck } = this.#settler;
      if (needsAck || attempt.isClaimed) {
        // Once for both: it may ask the user's `backoff`.
        const decision = this.#settler.decide(final, attempt.message, attempt.delivery);
        if (needsAck) await this.#settle(attempt, final, decision);
        if (attempt.isClaimed) this.#release(attempt, decision);
      }
    } catch (error) {
      this.#options.log('error', attempt.message, error, 'the message could not be settled');
    }
    if (--this.#finishing > 0 && this.#finishing !== MAX_FINISHING >> 1) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** Logs a failure. One that ends in the dead letters is logged there. */
  #log({ message, context, delivery }: Attempt, outcome: Outcome, decision: Decision): void {
    if (outcome.kind === 'expired') this.#options.onExpired();
    if (outcome.kind !== 'failed') return;
    const { error, stage } = outcome;
    const isSettled = context.settlements !== undefined;
    if (!isSettled && decision.how === 'bury') return;
    if (!isSettled && decision.how === 'nack') {
      const what = error instanceof Retry ? 'the handler asks for it again' : WHAT_FAILED[stage];
      const progress = this.#settler.progress(delivery, decision);
      this.#options.log('warn', message, error, `${what}, ${progress}`);
      return;
    }
    // An RpcError is an answer, where somebody is told of it.
    if (error instanceof RpcError && this.#settler.answersCaller(message)) return;
    this.#options.log('error', message, error, WHAT_FAILED[stage]);
  }

  /** The answer that is being sent, if any, and the outcome: a result that cannot be sent is a failure. */
  #answer(
    attempt: Attempt,
    outcome: Outcome,
    decision: Decision,
  ): [outcome: Outcome, answer: Promise<unknown> | undefined] {
    const { name, log } = this.#options;
    const { replier } = attempt;
    const { message, context } = attempt;
    if (this.#staysSilent(attempt, decision)) return [outcome, undefined];
    if (outcome.kind === 'failed' && outcome.error instanceof NoMatchingHandlerError) {
      this.decline(attempt, outcome.error);
      return [outcome, undefined];
    }
    const isRejected = context.settlementOf(message) === 'reject' && outcome.kind === 'ok';
    const answer = isRejected
      ? failed(new NoReplyError(`${name()} rejected the message`))
      : outcome;
    try {
      if (answer.kind === 'ok') return [outcome, replier.answer(message, answer.result)];
      if (answer.kind === 'failed') {
        const isOwn = isRejected || OWN_STAGES.has(answer.stage);
        return [outcome, replier.refuse(message, answer.error, isOwn)];
      }
      if (answer.kind === 'expired') this.#tellExpired(attempt);
      return [outcome, undefined];
    } catch (error) {
      // The caller is told why the result cannot be sent.
      log('error', message, error, WHAT_FAILED.handler);
      return [failed(error), this.#refuse(attempt, error)];
    }
  }

  /** Tells a caller that its request came too late. Its clock may say otherwise, and then it still listens. */
  #tellExpired(attempt: Attempt): void {
    const { message } = attempt;
    const late = new ExpiredError(`${this.#options.name()} got the request after its deadline`);
    this.#refuse(attempt, late)?.catch((error: unknown) => {
      if (error instanceof BrokerClosedError) return; // it was too late for this, too
      this.#options.log('warn', message, error, 'a caller could not be told that it was too late');
    });
  }

  /** Sends the caller an error of redstart; where it cannot be encoded (its data are too large), why not. */
  #refuse(attempt: Attempt, error: unknown, isLast = false): Promise<unknown> | undefined {
    const { message, replier } = attempt;
    try {
      return replier.refuse(message, error, true);
    } catch (failure) {
      if (!isLast) return this.#refuse(attempt, failure, true);
      this.#options.log('error', message, failure, 'the caller could not be told of the failure');
      return undefined;
    }
  }

  #staysSilent({ message, context, isAnswered }: Attempt, decision: Decision): boolean {
    return (
      // Nobody waits any more, and what a handler returns on being aborted is no answer.
      context.isCancelled ||
      isAnswered ||
      this.#options.noReply ||
      message.replyTo === undefined ||
      // A message that comes again is answered then.
      (context.settlements === undefined
        ? decision.how === 'nack'
        : context.settlementOf(message) === 'nack')
    );
  }

  /**
   * Waits until an answer is sent. One that reached nobody is kept for its caller. A result that
   * cannot be sent is told to the caller as an error, and returned; other failures are logged.
   */
  async #deliver(attempt: Attempt, answer: Promise<unknown>): Promise<unknown> {
    const { log, observers } = this.#options;
    const { replier } = attempt;
    const { message, context } = attempt;
    let unsendable: unknown;
    try {
      let receivers: unknown;
      try {
        receivers = await answer;
      } catch (error) {
        if (!(error instanceof EncodeError)) throw error;
        log('error', message, error, WHAT_FAILED.handler);
        unsendable = error;
        receivers = await replier.refuse(message, error, true);
      }
      observers.for('answered')?.emit('answered', {
        subscriber: context.subscriber,
        message,
        receivers: typeof receivers === 'number' ? receivers : undefined,
        error: undefined,
      });
      if (receivers === 0) await this.#keep(attempt);
    } catch (error) {
      log('error', message, error, 'the reply could not be sent');
      const { subscriber } = context;
      observers.active?.emit('answered', { subscriber, message, receivers: undefined, error });
    }
    return unsendable;
  }

  async #keep({ message, replier }: Attempt): Promise<void> {
    try {
      await replier.keep(message);
    } catch (error) {
      this.#options.log(
        'error',
        message,
        error,
        'the answer reached nobody, and could not be kept',
      );
    }
  }

  /** Sends the result on to each `@publisher`. A failure there is the message's failure. */
  async #forward({ message, context, route }: Attempt, outcome: Outcome): Promise<Outcome> {
    const result = outcome.kind === 'ok' ? outcome.result : undefined;
    const response = isResponse(result) ? result : undefined;
    const options = {
      correlationId: response?.correlationId ?? message.correlationId,
      ...(response?.headers === undefined ? {} : { headers: response.headers }),
      path: context.path,
    };
    const { subscriber } = context;
    const { observers } = this.#options;
    try {
      for (const forward of route?.forwards ?? []) await forward.forward(bodyOf(result), options);
      observers.active?.emit('forwarded', { subscriber, message, error: undefined });
      return outcome;
    } catch (error) {
      observers.active?.emit('forwarded', { subscriber, message, error });
      this.#options.log('error', message, error, 'the result could not be published');
      return failed(error, 'forward');
    }
  }

  /** As the policy says, unless the handler has settled it. Holds back the next message only while a dead letter is being sent. */
  #settle(
    { context, message, delivery }: Attempt,
    final: Outcome,
    decision: Decision,
  ): Promise<void> | undefined {
    if (context.settlements !== undefined) return undefined;
    const failure =
      final.kind === 'failed' ? { error: final.error, what: WHAT_FAILED[final.stage] } : undefined;
    const settled = this.#settler.settle(context.subscriber, message, delivery, decision, failure);
    return decision.how === 'bury' ? settled : undefined;
  }
}

/** What the log says of a failure, by the place where it happened. */
const WHAT_FAILED: Readonly<Record<FailureStage, string>> = {
  decode: 'the message cannot be decoded',
  validate: 'the message does not fit the schema',
  match: 'no handler takes the message',
  filter: 'a filter failed',
  handler: 'the handler failed',
  timeout: 'the handler took too long',
  exhausted: 'the message was delivered too often',
  forward: 'the result could not be published',
};

/** Where redstart itself refuses a request: no handler has thrown these errors. */
const OWN_STAGES: ReadonlySet<FailureStage> = new Set([
  'decode',
  'validate',
  'match',
  'timeout',
  'exhausted',
]);

/** Whether there is a result, and somewhere to send it on to. */
function forwards({ route }: Attempt, outcome: Outcome): boolean {
  if (route === undefined || route.forwards.length === 0) return false;
  return outcome.kind === 'ok' && bodyOf(outcome.result) !== undefined;
}
