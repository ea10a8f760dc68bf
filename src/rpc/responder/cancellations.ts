import { hostname } from 'node:os';
import { CancelledError } from '../../errors.ts';
import { NAME } from '../../message/headers.ts';
import { CALL_KEY, FROM_KEY, type Message } from '../../message/message.ts';
import type { Report } from '../../transport/source.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Inbox } from '../inbox.ts';

/** Host and process, as a caller sees them. */
const SELF = `${hostname()}:${process.pid}`;

/**
 * Calls whose handlers here watch their signal. Only those can be cancelled, so only those cost
 * anything: the caller learns where to send its cancellation when the signal is first asked for.
 */
export class TakenCalls {
  readonly #transport: Transport;
  readonly #inbox: Inbox;
  readonly #report: Report;
  readonly #controllers = new Map<string, AbortController>();

  constructor(transport: Transport, inbox: Inbox, report: Report) {
    this.#transport = transport;
    this.#inbox = inbox;
    this.#report = report;
    inbox.on('cancel', (message) => this.#cancel(message));
  }

  /** Lets the caller of `message` abort `controller`. A caller that is gone aborts it at once. */
  take(message: Message, controller: AbortController): void {
    const { replyTo } = message;
    const call = message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return;
    this.#controllers.set(keyOf(replyTo, call), controller);
    this.#announce(replyTo, call, controller).catch((error: unknown) => {
      this.#report('a caller could not be told that its call can be cancelled', error);
    });
  }

  /** Tells somebody who asks everybody that this broker is one of them. */
  introduce(message: Message): void {
    const { replyTo } = message;
    const call = message.header(CALL_KEY);
    if (replyTo === undefined || call === undefined) return;
    const frame = this.#inbox.encode('taken', call, '', { [NAME]: SELF });
    this.#transport.send({ kind: 'channel', name: replyTo }, frame).catch((error: unknown) => {
      this.#report('a caller could not be told who answers', error);
    });
  }

  release(message: Message): void {
    const call = message.header(CALL_KEY);
    if (call !== undefined) this.#controllers.delete(keyOf(message.replyTo ?? '', call));
  }

  async #announce(replyTo: string, call: string, controller: AbortController): Promise<void> {
    await this.#inbox.ready();
    const receivers = await this.#inbox.tell(replyTo, 'taken', call);
    if (receivers === 0 && this.#transport.countsReceivers) {
      controller.abort(new CancelledError('the caller is gone'));
    }
  }

  #cancel(message: Message): void {
    const from = message.header(FROM_KEY) ?? '';
    const call = message.header(CALL_KEY) ?? '';
    this.#controllers.get(keyOf(from, call))?.abort(new CancelledError('the caller gave up'));
  }
}

function keyOf(inbox: string, call: string): string {
  return `${inbox} ${call}`;
}
