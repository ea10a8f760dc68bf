import { EncodeError, messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import type { Asker } from '../../transport/marks.ts';
import type { Transport } from '../../transport/transport.ts';
import { keptAnswersKey, type Inbox } from '../inbox.ts';

/** Milliseconds for which an answer is kept at most, if its caller waits longer or for ever. */
const MAX_LIFE = 60_000;

/** Bytes that one broker keeps for callers out of reach, in the time that they may live. */
const MAX_BYTES = 64 * 2 ** 20;

/**
 * Larger answers go through a key and not through a channel, in bytes. Redis holds at most 32 MB for
 * one subscriber (`client-output-buffer-limit pubsub`) and cuts it off beyond.
 */
export const LARGE = 4 * 2 ** 20;

/** A caller that an answer is kept for. */
type Waiting = Pick<Asker, 'replyTo' | 'call' | 'deadline'>;

/**
 * Answers under a key beside their caller's inbox, from where the caller collects them: those that
 * reached nobody, since the caller may be reconnecting, and those that are too large for a channel.
 */
export class KeptAnswers {
  readonly #transport: Transport;
  readonly #inbox: Inbox;
  /** Bytes kept for callers out of reach since {@link #since}. */
  #bytes = 0;
  #since = 0;

  constructor(transport: Transport, inbox: Inbox) {
    this.#transport = transport;
    this.#inbox = inbox;
  }

  /** Keeps an answer that reached nobody until the call's deadline (RPUSH, PEXPIRE). Rejects where too much is kept already. */
  async keep(asker: Waiting, frame: Uint8Array): Promise<void> {
    const now = monotonicTime();
    if (now - this.#since > MAX_LIFE) {
      this.#since = now;
      this.#bytes = 0;
    }
    if (this.#bytes + frame.length > MAX_BYTES)
      throw new Error(`more than ${MAX_BYTES} bytes of answers reached nobody within a minute`);
    this.#bytes += frame.length;
    await this.#keep(asker, frame);
  }

  /** Has the caller collect a large answer; resolves with the number of receivers of that notice. */
  async send(asker: Waiting, frame: Uint8Array): Promise<number> {
    try {
      return await this.#keep(asker, frame);
    } catch (cause) {
      throw new EncodeError(
        `an answer of ${frame.length} bytes could not be kept for its caller: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  async #keep({ replyTo, call, deadline }: Waiting, frame: Uint8Array): Promise<number> {
    const home = this.#inbox.homeOf(replyTo);
    const life =
      deadline === undefined
        ? MAX_LIFE
        : Math.min(deadline - this.#transport.timed.clock.now(), MAX_LIFE);
    // Nothing is written beside any other name: it might be a key of somebody else's.
    if (home === undefined || life <= 0) return 0;
    await this.#transport.keep(keptAnswersKey(home), frame, Math.ceil(life));
    // A caller that reconnected before this was kept has collected already: it is notified to do so again.
    return this.#inbox.notify(home, 'kept', call);
  }
}
