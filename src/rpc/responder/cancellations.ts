import { hostName } from '../../internal/host.ts';
import { CancelledError } from '../../errors.ts';
import { clearTimer, setTimer } from '../../internal/clock.ts';
import { NAME } from '../../message/headers.ts';
import { logFields } from '../../message/log-fields.ts';
import { CALL_KEY, FROM_KEY, type ReceivedMessage } from '../../message/message.ts';
import type { Report } from '../../transport/source.ts';
import type { Inbox } from '../inbox.ts';

/** The name of this process that a gathering caller sees in `missing`: host and process id. */
const SELF = `${hostName()}:${process.pid}`;

/**
 * Milliseconds between the questions to a caller whose inbox has no receiver. Its connection may be
 * down for a moment; when it has not been there for all of them, it is gone.
 */
const ABSENCES: readonly number[] = [500, 1_000, 1_500];

/** The same for a caller that was there before: after an outage of the server it may need five seconds to reconnect. */
const RETURN: readonly number[] = [500, 1_000, 1_500, 2_000, 2_500, 2_500];

/** Milliseconds between two looks at whether the callers of handlers that run are still there. */
const LOOK = 2_000;

/**
 * Looks in turn that find no receiver, after which a caller that was there is gone: ten seconds after the first.
 * When the server itself was away, a caller may need half of this to reconnect.
 */
const GONE = 6;

/** A caller whose handlers here can be aborted. */
interface Caller {
  /** Several handlers here may work for one call, each with its own signal. */
  readonly calls: Map<string, Map<AbortController, ReceivedMessage>>;
  /** Looks in turn that did not find it. */
  absences: number;
}

/**
 * Lets callers abort their handlers here. Only handlers that read `ctx.signal` can be cancelled, so
 * only they cost anything: the caller is notified of this broker's inbox when the signal is first read,
 * and looked for every two seconds while the handler runs.
 */
export class Cancellations {
  readonly #inbox: Inbox;
  readonly #report: Report;
  /** By their inboxes. One without calls stays until the next look. */
  readonly #callers = new Map<string, Caller>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(inbox: Inbox, report: Report) {
    this.#inbox = inbox;
    this.#report = report;
  }

  /** Lets the caller of `message` abort `controller`, until `release`. If the caller is gone, it is aborted, too. */
  allow(message: ReceivedMessage, controller: AbortController): void {
    const { home, call } = this.#placeOf(message);
    if (home === undefined || call === undefined) return;
    let caller = this.#callers.get(home);
    if (caller === undefined) this.#callers.set(home, (caller = { calls: new Map(), absences: 0 }));
    const handlers = caller.calls.get(call);
    if (handlers === undefined) caller.calls.set(call, new Map([[controller, message]]));
    else handlers.set(controller, message);
    void this.#notify(message, controller, ABSENCES);
    this.#lookLater();
  }

  /** Notifies a caller that gathers that this process is going to answer. */
  announce(message: ReceivedMessage): void {
    const { home, call } = this.#placeOf(message);
    if (home === undefined || call === undefined) return;
    this.#inbox.notify(home, 'taken', call, '', { [NAME]: SELF }).catch((error: unknown) => {
      this.#report('a caller could not be notified of who answers', error, 'warn', {
        fields: logFields(message),
      });
    });
  }

  /** The handler has ended. */
  release(message: ReceivedMessage, controller: AbortController): void {
    const { home = '', call = '' } = this.#placeOf(message);
    const calls = this.#callers.get(home)?.calls;
    const handlers = calls?.get(call);
    if (handlers?.delete(controller) === true && handlers.size === 0) calls?.delete(call);
  }

  /** A caller cancels its call. */
  cancel(message: ReceivedMessage): void {
    const from = message.header(FROM_KEY) ?? '';
    const call = message.header(CALL_KEY) ?? '';
    for (const [controller] of this.#callers.get(from)?.calls.get(call) ?? [])
      controller.abort(new CancelledError('the caller gave up'));
  }

  /** A caller may have missed where it can cancel these calls. */
  repeat(inbox: string, calls: ReadonlySet<string>): void {
    const caller = this.#callers.get(inbox);
    if (caller === undefined) return;
    for (const [call, handlers] of caller.calls) if (calls.has(call)) this.#notifyAgain(handlers);
  }

  /** Our inbox stands again after a reconnect: cancellations may be lost. Callers that have left say so again. */
  restored(): void {
    for (const { calls } of this.#callers.values())
      for (const handlers of calls.values()) this.#notifyAgain(handlers);
  }

  /** Looks for no caller any more. */
  close(): void {
    this.#isClosed = true;
    clearTimer(this.#timer);
  }

  #notifyAgain(handlers: ReadonlyMap<AbortController, ReceivedMessage>): void {
    // Those of one call are notified of by one notice.
    const [first] = handlers;
    if (first !== undefined) void this.#notify(first[1], first[0], RETURN);
  }

  /** Notifies the caller of where to cancel; again where it cannot be reached, and aborts when it stays away. */
  async #notify(
    message: ReceivedMessage,
    controller: AbortController,
    pauses: readonly number[],
  ): Promise<void> {
    const { home = '', call = '' } = this.#placeOf(message);
    try {
      await this.#inbox.ready();
      const receivers = await this.#inbox.notify(home, 'taken', call);
      if (receivers !== 0 || !this.#inbox.counts(home)) return;
    } catch (error) {
      this.#report('a caller could not be notified that its call can be cancelled', error, 'warn', {
        fields: logFields(message),
      });
      return;
    }
    const [pause, ...rest] = pauses;
    if (pause === undefined) return controller.abort(new CancelledError('the caller is gone'));
    setTimer(() => {
      const isRunning = this.#callers.get(home)?.calls.get(call)?.has(controller) === true;
      if (isRunning) void this.#notify(message, controller, rest);
    }, pause).unref();
  }

  #lookLater(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimer(() => void this.#look(), LOOK);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    await Promise.all([...this.#callers].map(([home, caller]) => this.#lookFor(home, caller)));
    this.#timer = undefined;
    if (this.#callers.size > 0) this.#lookLater();
  }

  /** Asks the server whether a caller's inbox has a receiver, once for all of its calls. */
  async #lookFor(home: string, caller: Caller): Promise<void> {
    const [next] = caller.calls;
    if (next === undefined) {
      this.#callers.delete(home);
      return;
    }
    if (!this.#inbox.counts(home)) return;
    // The next look is for another call. A caller that no longer waits for this one cancels it.
    const [call, sharing] = next;
    caller.calls.delete(call);
    caller.calls.set(call, sharing);
    try {
      const receivers = await this.#inbox.notify(home, 'probe', call);
      caller.absences = receivers === 0 ? caller.absences + 1 : 0;
    } catch {
      return; // Our own connection: it says nothing of the caller.
    }
    if (caller.absences < GONE) return;
    for (const handlers of caller.calls.values())
      for (const controller of handlers.keys())
        controller.abort(new CancelledError('the caller is gone'));
  }

  /** The inbox and the id of the call; undefined where the caller has no inbox, and so cannot cancel. */
  #placeOf(message: ReceivedMessage): { home: string | undefined; call: string | undefined } {
    return { home: this.#inbox.homeOf(message.replyTo ?? ''), call: message.header(CALL_KEY) };
  }
}
