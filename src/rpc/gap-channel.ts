import { encodeFrame, pair } from '../message/envelope.ts';
import { binaryFormat, openFrame } from '../message/format.ts';
import { CORRELATION_ID, FROM, STATUS } from '../message/headers.ts';
import { FROM_KEY, Message, STATUS_KEY } from '../message/message.ts';
import type { Report } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';

/**
 * What brokers tell each other after a broken connection, on a channel that all of one
 * `inboxPrefix` share. PUBLISH counts a receiver whose connection breaks before the bytes have left
 * the server, so requests and answers can be lost that seemed to arrive. `lost`: a caller asks for
 * the answers that it still waits for. `gap`: a responder may have missed requests.
 */
export class Recovery {
  /** A caller asks for answers; the calls' numbers are separated by blanks. */
  onLost: ((inbox: string, calls: string) => void) | undefined;
  /** A responder's subscriptions were broken for a moment. */
  onGap: (() => void) | undefined;
  /** Our own subscriptions stand again. */
  onRestored: (() => void) | undefined;
  readonly #transport: Transport;
  readonly #channel: string;
  readonly #report: Report;
  #listening: Promise<unknown> | undefined;
  #closed = false;

  constructor(transport: Transport, inboxPrefix: string, report: Report) {
    this.#transport = transport;
    this.#channel = `${inboxPrefix}lost`;
    this.#report = report;
  }

  /** Begins to listen, if that is not done yet. Trouble is reported: without recovery all else works. */
  listen(): void {
    if (this.#listening !== undefined) return;
    const restored = (): void => this.onRestored?.();
    this.#listening = this.#transport
      .listen(this.#channel, (frame) => this.#receive(frame), restored)
      .catch((error: unknown) => {
        if (!this.#closed) this.#report('lost answers cannot be recovered', error);
      });
  }

  close(): void {
    this.#closed = true;
  }

  async say(what: 'lost' | 'gap', inbox: string, calls = ''): Promise<void> {
    const pairs = pair(CORRELATION_ID, inbox) + pair(STATUS, what) + pair(FROM, inbox);
    await this.#transport.send(
      { kind: 'channel', name: this.#channel },
      encodeFrame(pairs, 3, calls),
    );
  }

  #receive(bytes: Buffer): void {
    try {
      const message = new Message(bytes, openFrame(bytes, binaryFormat), {
        channel: this.#channel,
      });
      if (message.header(STATUS_KEY) === 'gap') this.onGap?.();
      else this.onLost?.(message.header(FROM_KEY) ?? '', message.payload.toString());
    } catch (error) {
      this.#report('a question for lost answers could not be read', error);
    }
  }
}
