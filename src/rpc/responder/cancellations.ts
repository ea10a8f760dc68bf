import { hostName } from '../../internal/host.ts';
import { CancelledError } from '../../errors.ts';
import { setTimer } from '../../internal/clock.ts';
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

/**
 * Lets callers abort their handlers here. Only handlers that read `ctx.signal` can be cancelled, so
 * only they cost anything: the caller is notified of this broker's inbox when the signal is first read.
 */
export class Cancellations {
  readonly #inbox: Inbox;
  readonly #report: Report;
  /** Several handlers here may work for one call, each with its own signal. */
  readonly #controllers = new Map<string, Set<AbortController>>();

  constructor(inbox: Inbox, report: Report) {
    this.#inbox = inbox;
    this.#report = report;
  }

  /** Lets the caller of `message` abort `controller`, until `release`. If the caller is gone, it is aborted, too. */
  allow(message: ReceivedMessage, controller: AbortController): void {
    const key = this.#keyOf(message);
    if (key === undefined) return;
    const sharing = this.#controllers.get(key);
    if (sharing === undefined) this.#controllers.set(key, new Set([controller]));
    else sharing.add(controller);
    void this.#notify(message, key, controller, 0);
  }

  /** Notifies a caller that gathers that this process is going to answer. */
  announce(message: ReceivedMessage): void {
    const home = this.#inbox.homeOf(message.replyTo ?? '');
    const call = message.header(CALL_KEY);
    if (home === undefined || call === undefined) return;
    this.#inbox.notify(home, 'taken', call, '', { [NAME]: SELF }).catch((error: unknown) => {
      this.#report('a caller could not be notified of who answers', error, 'warn', {
        fields: logFields(message),
      });
    });
  }

  /** The handler has ended. */
  release(message: ReceivedMessage, controller: AbortController): void {
    const key = this.#keyOf(message);
    const sharing = key === undefined ? undefined : this.#controllers.get(key);
    if (sharing?.delete(controller) === true && sharing.size === 0)
      this.#controllers.delete(key as string);
  }

  /** A caller cancels its call. */
  cancel(message: ReceivedMessage): void {
    const from = message.header(FROM_KEY) ?? '';
    const call = message.header(CALL_KEY) ?? '';
    for (const controller of this.#controllers.get(`${from} ${call}`) ?? [])
      controller.abort(new CancelledError('the caller gave up'));
  }

  /** Notifies the caller of where to cancel; again where it cannot be reached, and aborts when it stays away. */
  async #notify(
    message: ReceivedMessage,
    key: string,
    controller: AbortController,
    absences: number,
  ): Promise<void> {
    const home = this.#inbox.homeOf(message.replyTo ?? '') as string;
    try {
      await this.#inbox.ready();
      const receivers = await this.#inbox.notify(home, 'taken', message.header(CALL_KEY) as string);
      if (receivers !== 0 || !this.#inbox.counts(home)) return;
    } catch (error) {
      this.#report('a caller could not be notified that its call can be cancelled', error, 'warn', {
        fields: logFields(message),
      });
      return;
    }
    const pause = ABSENCES[absences];
    if (pause === undefined) return controller.abort(new CancelledError('the caller is gone'));
    setTimer(() => {
      const isRunning = this.#controllers.get(key)?.has(controller) === true;
      if (isRunning) void this.#notify(message, key, controller, absences + 1);
    }, pause).unref();
  }

  /** By the inbox and the id of the call; undefined where the caller has no inbox, and so cannot cancel. */
  #keyOf(message: ReceivedMessage): string | undefined {
    const home = this.#inbox.homeOf(message.replyTo ?? '');
    const call = message.header(CALL_KEY);
    return home === undefined || call === undefined ? undefined : `${home} ${call}`;
  }
}
