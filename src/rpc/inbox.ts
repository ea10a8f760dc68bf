import { ConnectionError } from '../errors.ts';
import { monotonicTime } from '../internal/clock.ts';
import { pause } from '../internal/deferred.ts';
import { Sparing } from '../internal/sparing.ts';
import { isBundle, openBundle } from '../message/bundle.ts';
import { encodeFrame, isFrame, pair, type Frame } from '../message/envelope.ts';
import { binaryFormat, openFrame, type MessageFormat } from '../message/format.ts';
import { CALL, CORRELATION_ID, FROM, STATUS } from '../message/headers.ts';
import { CALL_KEY, CORRELATION_ID_KEY, ReceivedMessage, STATUS_KEY } from '../message/message.ts';
import type { Listener, Report } from '../transport/source.ts';
import type { Receipt, Transport } from '../transport/transport.ts';

/** `redstart-status` of what comes to an inbox; an answer with a value has none. */
export type Status =
  /** The body is an error. */
  | 'error'
  /** This subscriber will not answer: the caller gives up once every receiver has said so. */
  | 'declined'
  /** The same, since the request came too late. Nobody else need hear of it: the call has ended, as far as is known. */
  | 'expired'
  /** A handler runs and can be cancelled at the inbox in `redstart-from`. */
  | 'taken'
  /** The caller of a call that was taken has given up. */
  | 'cancel'
  /** An answer is kept for collection: it reached nobody, or is too large for a channel. */
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

/** The key under which answers are kept for an inbox: that of a whole caller, not of one call's own channel. */
export function keptAnswersKey(inbox: string): string {
  return `${inbox}:kept`;
}

/** Milliseconds in which the connection for answers is tried again where it breaks as it is made. */
const OPEN_PATIENCE = 1_000;

const OPEN_PAUSE = 50;

/**
 * The end of an inbox's name that tells responders: several answers may come as one message. Of an
 * earlier version, and of a call's own channel, the name ends otherwise.
 */
const TAKES_BUNDLES = '+}';

/**
 * The end of an inbox's name that tells responders: its sharded channel is subscribed to, too. They
 * send to the plain channel only where nobody hears the other. Begins with a character that no id has.
 */
const IS_SHARDED = `/${TAKES_BUNDLES}`;

/** The longest name of an inbox without its prefix, in characters. Those that are made here have 26. */
const MAX_INBOX = 64;

/** This broker's channel for answers, and for the notices that the two sides of a call send each other. */
export class Inbox {
  readonly address: { readonly name: string; readonly kind: 'channel' };
  readonly #transport: Transport;
  /** Whether answers can go over sharded channels. */
  readonly #shards: boolean;
  /** With the brace that every inbox's own part begins with. */
  readonly #prefix: string;
  /** What answers may be written in: the broker's format, and those of its calls. */
  readonly #formats: Set<MessageFormat>;
  readonly #report: Report;
  #receivers: ReadonlyMap<string, Receive> = new Map();
  #answer: Receive = () => {};
  #restored: () => void = () => {};
  #listening: Promise<Listener> | undefined;
  #listener: Listener | undefined;
  #isClosed = false;
  readonly #unreadable = new Sparing();
  #lastName = '';
  #lastHome: string | undefined;

  /** `id` is this inbox's own part of the name. */
  constructor(
    transport: Transport,
    prefix: string,
    id: string,
    format: MessageFormat,
    report: Report,
  ) {
    this.#transport = transport;
    this.#prefix = `${prefix}{`;
    // In braces, a hash tag: on a cluster all keys and channels of one inbox are on one node.
    this.#shards = transport.shardsAnswers;
    const end = this.#shards ? IS_SHARDED : TAKES_BUNDLES;
    this.address = { name: `${this.#prefix}${id}${end}`, kind: 'channel' };
    this.#formats = new Set([format]);
    this.#report = report;
  }

  /** Sets the receivers, once, before `ready` is called. */
  route({ answer, restored, ...byStatus }: InboxRoutes): void {
    this.#answer = answer;
    this.#restored = restored;
    // A map: the status comes from outside, and an object has names of its own, `constructor` for one.
    this.#receivers = new Map(Object.entries(byStatus));
  }

  /** From now on answers in this format are understood, too. */
  learn(format: MessageFormat): void {
    this.#formats.add(format);
  }

  /**
   * The inbox that a reply channel belongs to: the name itself, or for the own channel of one call the
   * name before the call's id. Undefined for a name that is no inbox under this broker's `inboxPrefix`.
   */
  homeOf(name: string): string | undefined {
    // Nearly always the name that was asked for before.
    if (name === this.#lastName) return this.#lastHome;
    const start = this.#prefix.length;
    const end = name.indexOf('}', start);
    const isInbox = end > start && end - start <= MAX_INBOX && name.startsWith(this.#prefix);
    this.#lastName = name;
    return (this.#lastHome = isInbox ? name.slice(0, end + 1) : undefined);
  }

  /** Whether several answers may be sent to this reply channel as one message. */
  takesBundles(name: string): boolean {
    return name.endsWith(TAKES_BUNDLES);
  }

  /** Whether what is sent to this inbox resolves with all its receivers. On a cluster, only where it is sharded. */
  counts(name: string): boolean {
    return this.#transport.countsReceivers || this.#isSharded(name);
  }

  /** Sends to a reply channel; resolves with the number of receivers. */
  sendTo(name: string, frame: Uint8Array): Promise<unknown> {
    if (!this.#isSharded(name)) return this.#transport.send({ kind: 'channel', name }, frame);
    return new Promise((sent, refused) => this.postTo(name, frame, { sent, refused }));
  }

  /** The same without a promise. */
  postTo(name: string, frame: Uint8Array, receipt: Receipt): void {
    const plain = { kind: 'channel', name } as const;
    if (!this.#isSharded(name)) return this.#transport.post(plain, frame, receipt);
    this.#transport.post({ ...plain, sharded: true }, frame, {
      sent: (receivers) => {
        if (receivers !== 0) receipt.sent(receivers);
        // Its user may lack the right to SSUBSCRIBE, or its slot is on the move.
        else this.#transport.post(plain, frame, receipt);
      },
      refused: (error) => receipt.refused(error),
    });
  }

  /** Undefined when the subscription is confirmed on the current connection, else a promise for when it is. */
  ready(): Promise<unknown> | undefined {
    if (this.#listener !== undefined) return this.#listener.ready();
    return (this.#listening ??= this.#listen());
  }

  /** Notifies another inbox of something about a call (PUBLISH, SPUBLISH); resolves with the number of receivers. */
  async notify(
    inbox: string,
    status: Status,
    call: string,
    body = '',
    extra: Record<string, string> = {},
  ): Promise<number> {
    return (await this.sendTo(inbox, this.#encode(status, call, body, extra))) as number;
  }

  /** The same where nothing can be done about a failure: it is logged. */
  notifyOrLog(inbox: string, status: Status, call: string, body?: string): void {
    this.notify(inbox, status, call, body).catch((error: unknown) => {
      if (this.#isClosed) return; // the last words of a broker that stops
      this.#report(`the other side of a call could not be notified of '${status}'`, error);
    });
  }

  /** Takes one frame that came to the inbox or was kept for it. Never throws: anybody can send here. */
  readonly receive = (bytes: Buffer): void => this.receiveFor(bytes, this.#answer);

  /** The same for the reply channel of one call: `answer` takes an answer that has no call's id. */
  receiveFor(bytes: Buffer, answer: Receive): void {
    try {
      if (isBundle(bytes)) openBundle(bytes, (frame) => this.#receive(frame, answer));
      else this.#receive(bytes, answer);
    } catch (error) {
      this.#notRead(error);
    }
  }

  #receive(bytes: Buffer, answer: Receive): void {
    try {
      const message = this.#open(bytes);
      const status = message.header(STATUS_KEY);
      // A status that is not known is no answer: a later version may have it.
      if (status !== undefined) this.#receivers.get(status)?.(message);
      else if (message.header(CALL_KEY) === undefined) answer(message);
      else this.#answer(message);
    } catch (error) {
      this.#notRead(error);
    }
  }

  /** Whether the sharded channel of a reply channel is the one to send to. */
  #isSharded(name: string): boolean {
    return this.#shards && name.endsWith(IS_SHARDED) && this.homeOf(name) === name;
  }

  #notRead(error: unknown): void {
    const times = this.#unreadable.next();
    if (times !== undefined) this.#report(`an answer could not be read${times}`, error);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#listener?.close();
  }

  /**
   * Notices are in the binary format, whatever the format of the broker: the two sides of a call may
   * have different ones. An answer is in the format of the handler.
   */
  #open(bytes: Buffer): ReceivedMessage {
    if (isFrame(bytes)) return this.#message(bytes, openFrame(bytes, binaryFormat));
    let first: ReceivedMessage | undefined;
    let failure: unknown;
    for (const format of this.#formats) {
      try {
        const message = this.#message(bytes, openFrame(bytes, format));
        const names = message.header(CALL_KEY) ?? message.header(CORRELATION_ID_KEY);
        if (names !== undefined) return message;
        first ??= message;
      } catch (error) {
        failure ??= error;
      }
    }
    if (first === undefined) throw failure;
    return first;
  }

  #message(bytes: Buffer, frame: Frame): ReceivedMessage {
    return new ReceivedMessage(bytes, frame, { channel: this.address.name });
  }

  #encode(status: Status, call: string, body: string, extra: Record<string, string>): Buffer {
    const headers = { [CORRELATION_ID]: call, [CALL]: call, [STATUS]: status, ...extra };
    let pairs = pair(FROM, this.address.name);
    for (const [name, value] of Object.entries(headers)) pairs += pair(name, value);
    return encodeFrame(pairs, 1 + Object.keys(headers).length, body);
  }

  async #listen(): Promise<Listener> {
    const { name } = this.address;
    const began = monotonicTime();
    for (;;) {
      try {
        const opened = this.#transport.listen(name, this.receive, this.#restored, this.#shards);
        return (this.#listener = await opened);
      } catch (error) {
        // A connection that broke as it was made; the transport itself has stood before.
        if (!(error instanceof ConnectionError) || monotonicTime() - began > OPEN_PATIENCE) {
          this.#listening = undefined;
          throw error;
        }
        await pause(OPEN_PAUSE);
      }
    }
  }
}
