import { deferred, type Deferred } from '../../internal/deferred.ts';
import { encodeBundle } from '../../message/bundle.ts';
import type { Inbox } from '../inbox.ts';

/** Answers in one bundle, at most: then the server and the caller begin while the rest is made. */
const MAX_FRAMES = 32;

/** Bytes in one bundle, about. A larger answer is sent alone. */
const MAX_BYTES = 64 * 1024;

interface Bundle {
  readonly inbox: string;
  readonly frames: Uint8Array[];
  bytes: number;
  /** Receivers of the bundle, which are those of each answer in it. */
  readonly sent: Deferred<unknown>;
}

/**
 * Sends the answers that one tick gives to one inbox as one PUBLISH. A PUBLISH for each costs Redis, the
 * responder and the caller more than the answer itself. Only to inboxes whose name says that they
 * take bundles.
 */
export class AnswerBundles {
  readonly #inbox: Inbox;
  #bundle: Bundle | undefined;

  constructor(inbox: Inbox) {
    this.#inbox = inbox;
  }

  /** Sends an answer by the end of this tick; resolves with the number of receivers. */
  send(to: string, frame: Uint8Array): Promise<unknown> {
    if (!this.#inbox.takesBundles(to) || frame.length > MAX_BYTES)
      return this.#inbox.sendTo(to, frame);
    let bundle = this.#bundle;
    if (bundle !== undefined && (bundle.inbox !== to || bundle.bytes + frame.length > MAX_BYTES)) {
      this.#flush();
      bundle = undefined;
    }
    if (bundle === undefined) {
      bundle = this.#bundle = { inbox: to, frames: [], bytes: 0, sent: deferred() };
      process.nextTick(this.#flush);
    }
    bundle.frames.push(frame);
    bundle.bytes += frame.length;
    if (bundle.frames.length === MAX_FRAMES) this.#flush();
    return bundle.sent.promise;
  }

  readonly #flush = (): void => {
    const bundle = this.#bundle;
    if (bundle === undefined) return;
    this.#bundle = undefined;
    const { inbox, frames, sent } = bundle;
    const bytes = frames.length === 1 ? (frames[0] as Uint8Array) : encodeBundle(frames);
    this.#inbox.postTo(inbox, bytes, {
      sent: (receivers) => sent.resolve(receivers),
      refused: (error) => sent.reject(error),
    });
  };
}
