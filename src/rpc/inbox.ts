import { encodeFrame, pair } from '../message/envelope.ts';
import { openFrame, type MessageFormat } from '../message/format.ts';
import { CALL, CORRELATION_ID, FROM, STATUS } from '../message/headers.ts';
import { CALL_KEY, ReceivedMessage, STATUS_KEY } from '../message/message.ts';
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
  /** The responder asks whether the caller still waits for this call. */
  | 'probe';

type Receive = (message: ReceivedMessage) => void;

/** Who takes what comes to the inbox: one receiver for each status. */
export interface InboxRoutes extends Readonly<Record<Status, Receive>> {
  /** Takes an answer with a value. */
  readonly answer: Receive;
  /** Called when the subscription stands again after a reconnect. */
  readonly restored: () => void;
}

/** The key under which answers are kept for an inbox that could not be reached. */
export function keptAnswersKey(inbox: string): string {
  return `${inbox}:kept`;
}

/** This broker's channel for answers, and for the notices that the two sides of a call send each other. */
export class Inbox {
  readonly address: { readonly name: string; readonly kind: 'channel' };
  readonly #transport: Transport;
  readonly #format: MessageFormat;
  readonly #report: Report;
  #receivers: ReadonlyMap<string, Receive> = new Map();
  #answer: Receive = () => {};
  #restored: () => void = () => {};
  #listening: Promise<Listener> | undefined;
  #listener: Listener | undefined;

  constructor(transport: Transport, name: string, format: MessageFormat, report: Report) {
    this.#transport = transport;
    this.address = { name, kind: 'channel' };
    this.#format = format;
    this.#report = report;
  }

  /** Sets the receivers, once, before `ready` is called. */
  route({ answer, restored, ...byStatus }: InboxRoutes): void {
    this.#answer = answer;
    this.#restored = restored;
    // A map: the status comes from outside, and an object has names of its own, `constructor` for one.
    this.#receivers = new Map(Object.entries(byStatus));
  }

  /** Undefined when the subscription is confirmed on the current connection, else a promise for when it is. */
  ready(): Promise<unknown> | undefined {
    if (this.#listener !== undefined) return this.#listener.ready();
    return (this.#listening ??= this.#listen());
  }

  /** Notifies another inbox of something about a call (PUBLISH); resolves with the number of receivers. */
  async notify(
    inbox: string,
    status: Status,
    call: string,
    body = '',
    extra: Record<string, string> = {},
  ): Promise<number> {
    const to = { kind: 'channel', name: inbox } as const;
    return (await this.#transport.send(to, this.#encode(status, call, body, extra))) as number;
  }

  /** The same where nothing can be done about a failure: it is logged. */
  notifyOrLog(inbox: string, status: Status, call: string, body?: string): void {
    this.notify(inbox, status, call, body).catch((error: unknown) => {
      this.#report(`the other side of a call could not be notified of '${status}'`, error);
    });
  }

  /** Takes one frame that came to the inbox or was kept for it. Never throws: anybody can send here. */
  readonly receive = (bytes: Buffer): void => this.receiveFor(bytes, this.#answer);

  /** The same for the reply channel of one call: `answer` takes an answer that has no call's number. */
  receiveFor(bytes: Buffer, answer: Receive): void {
    try {
      const message = new ReceivedMessage(bytes, openFrame(bytes, this.#format), {
        channel: this.address.name,
      });
      const status = message.header(STATUS_KEY);
      const receive = status === undefined ? undefined : this.#receivers.get(status);
      if (receive !== undefined) receive(message);
      else if (message.header(CALL_KEY) === undefined) answer(message);
      else this.#answer(message);
    } catch (error) {
      this.#report('an answer could not be read', error);
    }
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  #encode(status: Status, call: string, body: string, extra: Record<string, string>): Buffer {
    const headers = { [CORRELATION_ID]: call, [CALL]: call, [STATUS]: status, ...extra };
    let pairs = pair(FROM, this.address.name);
    for (const [name, value] of Object.entries(headers)) pairs += pair(name, value);
    return encodeFrame(pairs, 1 + Object.keys(headers).length, body);
  }

  async #listen(): Promise<Listener> {
    try {
      this.#listener = await this.#transport.listen(
        this.address.name,
        this.receive,
        this.#restored,
      );
      return this.#listener;
    } catch (error) {
      this.#listening = undefined;
      throw error;
    }
  }
}
