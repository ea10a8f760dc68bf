import { CancelledError } from '../errors.ts';
import { clearTimer, setTimer, unixTime } from '../internal/clock.ts';
import type { Cancellations } from '../rpc/responder/cancellations.ts';
import { idOfCall } from '../rpc/responder/id-calls.ts';
import { Replier } from '../rpc/responder/replier.ts';
import type { HandlerContext } from './context.ts';

/** A handler that asked for its signal. */
interface Watched {
  readonly controller: AbortController;
  timer: NodeJS.Timeout | undefined;
}

/** Aborts the signals of one subscriber's handlers: for a caller that gave up, at a deadline, at a stop. */
export class Cancellation {
  readonly #calls: Cancellations;
  /** Handlers that asked for their signal and still run. */
  readonly #watched = new Map<HandlerContext, Watched>();

  constructor(calls: Cancellations) {
    this.#calls = calls;
  }

  watch(context: HandlerContext, controller: AbortController): void {
    const watched: Watched = { controller, timer: undefined };
    this.#watched.set(context, watched);
    // A batch has many callers, and no single one of them can cancel it.
    if (context.messages.length > 1) return;
    const { deadline, message } = context;
    // A caller that leaves asks for the answer again.
    if (idOfCall(message) !== undefined) return;
    if (deadline === undefined && !Replier.isCall(message)) return;
    this.#calls.allow(message, controller);
    if (deadline === undefined) return;
    const abort = (): void => controller.abort(new CancelledError('the caller waits no longer'));
    watched.timer = setTimer(abort, deadline - unixTime());
  }

  /** The handler is done. */
  release(context: HandlerContext): void {
    if (this.#watched.size === 0) return;
    const watched = this.#watched.get(context);
    if (watched === undefined) return;
    this.#watched.delete(context);
    clearTimer(watched.timer);
    this.#calls.release(context.message, watched.controller);
  }

  abortAll(reason: Error): void {
    for (const { controller } of this.#watched.values()) controller.abort(reason);
  }
}
