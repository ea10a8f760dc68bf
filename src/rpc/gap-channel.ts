import { encodeFrame, pair } from '../message/envelope.ts';
import { binaryFormat, openFrame } from '../message/format.ts';
import { CORRELATION_ID, FROM, STATUS } from '../message/headers.ts';
import { FROM_KEY, ReceivedMessage, STATUS_KEY } from '../message/message.ts';
import { backoff } from '../internal/backoff.ts';
import { pause } from '../internal/deferred.ts';
import { Sparing } from '../internal/sparing.ts';
import type { Report } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';

/** Who takes what comes to the gap channel. */
export interface GapRoutes {
  /** A caller asks for answers; `calls` are the calls' ids, separated by blanks. */
  readonly lost: (inbox: string, calls: string) => void;
  /** A responder's subscriptions were interrupted. */
  readonly gap: () => void;
  /** This channel is heard again after a reconnect: what was said on it before may be lost. */
  readonly restored: () => void;
}

/** Milliseconds between two attempts to listen. */
const RETRY_MIN = 250;
const RETRY_MAX = 5_000;

/** The longest question for answers that is read, in bytes. Ours have 512 ids of 16 bytes. */
const MAX_QUESTION = 64 * 1024;

/**
 * The channel on which all brokers of one `inboxPrefix` notify each other after a lost connection.
 * PUBLISH counts a receiver whose connection breaks before the bytes have left the server, so a
 * request or an answer can be lost although PUBLISH has counted its receiver. `lost`: a caller asks
 * for the answers that it still waits for. `gap`: a responder may have missed requests, or a question.
 */
export class GapChannel {
  readonly #transport: Transport;
  readonly #channel: string;
  readonly #report: Report;
  #routes: GapRoutes | undefined;
  #isListening = false;
  readonly #closing = new AbortController();
  readonly #refused = new Sparing();
  readonly #unreadable = new Sparing();

  constructor(transport: Transport, inboxPrefix: string, report: Report) {
    this.#transport = transport;
    this.#channel = `${inboxPrefix}lost`;
    this.#report = report;
  }

  /** Sets the receivers, once, before `listen` is called. */
  route(routes: GapRoutes): void {
    this.#routes = routes;
  }

  /** Subscribes, once. A failure is logged and tried again, and not thrown: calls work without recovery. */
  listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    void this.#listen();
  }

  /** From now on a failure to listen is not logged. The transport closes the subscription. */
  close(): void {
    this.#closing.abort();
  }

  /** Notifies all other brokers (PUBLISH). `inbox` is the sender's. */
  async notify(what: 'lost' | 'gap', inbox: string, calls = ''): Promise<void> {
    const pairs = pair(CORRELATION_ID, inbox) + pair(STATUS, what) + pair(FROM, inbox);
    await this.#transport.send(
      { kind: 'channel', name: this.#channel },
      encodeFrame(pairs, 3, calls),
    );
  }

  async #listen(): Promise<void> {
    const receive = (frame: Buffer): void => this.#receive(frame);
    const restored = (): void => this.#routes?.restored();
    for (let failures = 1; !this.#closing.signal.aborted; failures++) {
      try {
        await this.#transport.listen(this.#channel, receive, restored);
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        const times = this.#refused.next();
        if (times !== undefined) this.#report(`lost answers cannot be recovered${times}`, error);
        await pause(backoff(failures, RETRY_MIN, RETRY_MAX), this.#closing.signal);
      }
    }
  }

  #receive(bytes: Buffer): void {
    try {
      const message = new ReceivedMessage(bytes, openFrame(bytes, binaryFormat), {
        channel: this.#channel,
      });
      const status = message.header(STATUS_KEY);
      const { payload } = message;
      if (status === 'gap') this.#routes?.gap();
      else if (status === 'lost' && payload.length <= MAX_QUESTION)
        this.#routes?.lost(message.header(FROM_KEY) ?? '', payload.toString());
    } catch (error) {
      const times = this.#unreadable.next();
      if (times !== undefined)
        this.#report(`a question for lost answers could not be read${times}`, error);
    }
  }
}
