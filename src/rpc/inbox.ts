import { encodeFrame, pair } from '../message/envelope.ts';
import { openFrame, type MessageFormat } from '../message/format.ts';
import { CALL, CORRELATION_ID, FROM, STATUS } from '../message/headers.ts';
import { CALL_KEY, Message, STATUS_KEY } from '../message/message.ts';
import type { Listener, Report } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';

/** `redstart-status` of what comes to an inbox; an answer with a value has none. */
export type Status =
  /** The body is an error. */
  | 'error'
  /** This subscriber will not answer: the caller gives up once every receiver has said so. */
  | 'declined'
  /** A handler runs and can be cancelled at the inbox in `redstart-from`. */
  | 'taken'
  /** The caller of a call that was taken has given up. */
  | 'cancel'
  /** An answer that reached nobody is kept for collection. */
  | 'kept'
  /** One item of a stream. */
  | 'item'
  /** The stream is at its end. */
  | 'end'
  /** The body is how many items the caller has taken. */
  | 'credit'
  /** Is anybody still waiting for this call? */
  | 'probe';

/** The channel that answers come to, and what the two sides of a call say to each other while it lasts. */
export class Inbox {
  readonly address: { readonly name: string; readonly kind: 'channel' };
  readonly #transport: Transport;
  readonly #format: MessageFormat;
  readonly #report: Report;
  readonly #receivers = new Map<string, (message: Message) => void>();
  readonly #restored: (() => void)[] = [];
  #receiveAnswer: (message: Message) => void = () => {};
  #listening: Promise<Listener> | undefined;
  #listener: Listener | undefined;

  constructor(transport: Transport, name: string, format: MessageFormat, report: Report) {
    this.#transport = transport;
    this.address = { name, kind: 'channel' };
    this.#format = format;
    this.#report = report;
  }

  /** Undefined when the subscription is confirmed on the current connection, else a promise for when it is. */
  ready(): Promise<unknown> | undefined {
    if (this.#listener !== undefined) return this.#listener.ready();
    return (this.#listening ??= this.#listen());
  }

  onAnswer(receive: (message: Message) => void): void {
    this.#receiveAnswer = receive;
  }

  on(status: Status, receive: (message: Message) => void): void {
    this.#receivers.set(status, receive);
  }

  /** Has `restored` called when the subscription stands again after a reconnect. */
  onRestored(restored: () => void): void {
    this.#restored.push(restored);
  }

  /** Says something about a call to another inbox; resolves with the number of receivers. */
  async tell(inbox: string, status: Status, call: string, body = ''): Promise<number> {
    const to = { kind: 'channel', name: inbox } as const;
    return (await this.#transport.send(to, this.encode(status, call, body))) as number;
  }

  /** The same for somebody whom it is enough to have tried to tell. */
  say(inbox: string, status: Status, call: string, body?: string): void {
    this.tell(inbox, status, call, body).catch((error: unknown) => {
      this.#report(`'${status}' could not be told to the other side of a call`, error);
    });
  }

  /** The frame of what one side of a call says to the other. */
  encode(status: Status, call: string, body: string, extra: Record<string, string> = {}): Buffer {
    const headers = { [CORRELATION_ID]: call, [CALL]: call, [STATUS]: status, ...extra };
    let pairs = pair(FROM, this.address.name);
    for (const [name, value] of Object.entries(headers)) pairs += pair(name, value);
    return encodeFrame(pairs, 1 + Object.keys(headers).length, body);
  }

  /** One frame from the inbox, or one that was kept for it. Nothing that a stranger can send here may throw. */
  readonly receive = (bytes: Buffer): void => this.receiveFor(bytes, this.#receiveAnswer);

  /** The same for a channel of one call: `receive` takes what does not say whose answer it is. */
  receiveFor(bytes: Buffer, receiveUnmarked: (message: Message) => void): void {
    try {
      const message = new Message(bytes, openFrame(bytes, this.#format), {
        channel: this.address.name,
      });
      const status = message.header(STATUS_KEY);
      const receive = status === undefined ? undefined : this.#receivers.get(status);
      if (receive !== undefined) receive(message);
      else if (message.header(CALL_KEY) === undefined) receiveUnmarked(message);
      else this.#receiveAnswer(message);
    } catch (error) {
      this.#report('an answer could not be read', error);
    }
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  async #listen(): Promise<Listener> {
    try {
      this.#listener = await this.#transport.listen(this.address.name, this.receive, () => {
        for (const restored of this.#restored) restored();
      });
      return this.#listener;
    } catch (error) {
      this.#listening = undefined;
      throw error;
    }
  }
}
