import { hostname } from 'node:os';
import { CancelledError } from '../../errors.ts';
import { NAME } from '../../message/headers.ts';
import { CALL_KEY, FROM_KEY, type ReceivedMessage } from '../../message/message.ts';
import type { Report } from '../../transport/source.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Inbox } from '../inbox.ts';

/** The name of this process that a gathering caller sees in `missing`: host and process id. */
const SELF = `${hostname()}:${process.pid}`;

/**
 * Lets callers abort their handlers here. Only handlers that read `ctx.signal` can be cancelled, so
 * only they cost anything: the caller is notified of this broker's inbox when the signal is first read.
 */
export class Cancellations {
  readonly #transport: Transport;
  readonly #inbox: Inbox;
  readonly #report: Report;
  readonly #controllers = new Map<string, AbortController>();

  constructor(transport: Transport, inbox: Inbox, report: Report) {
    this.#transport = transport;
    this.#inbox = inbox;
    this.#report = report;
  }

  /** Lets the caller of `message` abort `controller`, until `release`. If the caller is gone, it is aborted at once. */
  allow(message: ReceivedMessage, controller: AbortController): void {
    const { replyTo } = message;
    const call = message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return;
    this.#controllers.set(keyOf(replyTo, call), controller);
    this.#notify(replyTo, call, controller).catch((error: unknown) => {
      this.#report('a caller could not be notified that its call can be cancelled', error);
    });
  }

  /** Notifies a caller that gathers that this process is going to answer. */
  announce(message: ReceivedMessage): void {
    const { replyTo } = message;
    const call = message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return;
    this.#inbox.notify(replyTo, 'taken', call, '', { [NAME]: SELF }).catch((error: unknown) => {
      this.#report('a caller could not be notified of who answers', error);
    });
  }

  /** The handler has ended. */
  release(message: ReceivedMessage): void {
    const call = message.header(CALL_KEY);
    if (call !== undefined) this.#controllers.delete(keyOf(message.replyTo ?? '', call));
  }

  /** A caller cancels its call. */
  cancel(message: ReceivedMessage): void {
    const from = message.header(FROM_KEY) ?? '';
    const call = message.header(CALL_KEY) ?? '';
    this.#controllers.get(keyOf(from, call))?.abort(new CancelledError('the caller gave up'));
  }

  async #notify(replyTo: string, call: string, controller: AbortController): Promise<void> {
    await this.#inbox.ready();
    const receivers = await this.#inbox.notify(replyTo, 'taken', call);
    if (receivers === 0 && this.#transport.countsReceivers) {
      controller.abort(new CancelledError('the caller is gone'));
    }
  }
}

function keyOf(inbox: string, call: string): string {
  return `${inbox} ${call}`;
}
