import { SetupError } from '../errors.ts';
import type { Codec } from '../message/codec.ts';
import type { MessageFormat } from '../message/format.ts';
import type { ReceivedMessage } from '../message/message.ts';
import { describe, type Target } from '../transport/address.ts';
import type { Delivery } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';
import { decodeLetter, encodeLetter, originalOf, type DeadLetter } from './dead-letter-format.ts';

/** Letters read in one round trip. */
const PAGE = 100;

/** Writes the dead letters of one subscriber. */
export class DeadLetters {
  readonly #transport: Transport;
  readonly to: Target;
  readonly #format: MessageFormat;
  readonly #group: string | undefined;

  constructor(transport: Transport, to: Target, format: MessageFormat, group: string | undefined) {
    this.#transport = transport;
    this.to = to;
    this.#format = format;
    this.#group = group;
  }

  /** Sends the message to the dead letters (XADD, RPUSH), with headers that say what happened. */
  async bury(message: ReceivedMessage, delivery: Delivery, error: unknown): Promise<void> {
    const frame = encodeLetter(message, delivery, error, this.#group, this.#format);
    await this.#transport.send(this.to, frame);
  }
}

/** What a box needs of its broker. */
export interface DeadLetterBoxOptions {
  transport(): Promise<Transport>;
  readonly codec: Codec;
  readonly format: MessageFormat;
}

/** The dead letters in one stream or list: to look at, to send back to where they came from, to remove. */
export class DeadLetterBox {
  readonly #options: DeadLetterBoxOptions;
  readonly #at: Target;
  readonly #deliveries = new WeakMap<DeadLetter, Delivery>();

  /** @internal */
  constructor(at: Target, options: DeadLetterBoxOptions) {
    this.#at = at;
    this.#options = options;
  }

  /** How many there are (XLEN, LLEN). */
  async count(): Promise<number> {
    return (await this.#options.transport()).count(this.#at);
  }

  /** The oldest ones, up to `count` (default 100), after the letter with the id `after` (XRANGE, LRANGE). */
  async list(options: { count?: number; after?: string } = {}): Promise<DeadLetter[]> {
    const { count = PAGE, after } = options;
    const { codec, format } = this.#options;
    const transport = await this.#options.transport();
    const found = await transport.peek(this.#at, after, count);
    return found.map((delivery) => {
      const letter = decodeLetter(delivery, codec, format);
      this.#deliveries.set(letter, delivery);
      return letter;
    });
  }

  /**
   * Sends letters back to where they came from, as they came, and removes them: the given ones, or
   * all there are now. Each is sent before it is removed: an interruption leaves one twice and loses
   * none. Other groups of a stream get it once more, too. Resolves with how many were sent; skips
   * entries that are no dead letters of redstart. Rejects with what Redis refused, the rest still there.
   */
  async redrive(letters?: readonly DeadLetter[]): Promise<number> {
    const transport = await this.#options.transport();
    let redriven = 0;
    for await (const letter of letters ?? this.#all()) {
      const delivery = this.#deliveryOf(letter);
      const original = originalOf(delivery, this.#options.format);
      if (original === undefined) continue;
      await transport.send(original.to, original.frame);
      await transport.remove(this.#at, delivery);
      redriven++;
    }
    return redriven;
  }

  /** Deletes letters that were listed here (XDEL, LREM). Resolves with how many were still there. */
  async remove(letters: readonly DeadLetter[]): Promise<number> {
    const transport = await this.#options.transport();
    let removed = 0;
    for (const letter of letters) {
      if (await transport.remove(this.#at, this.#deliveryOf(letter))) removed++;
    }
    return removed;
  }

  /** Those that are there now. What comes meanwhile, such as a redriven one that died again, is left. */
  async *#all(): AsyncGenerator<DeadLetter> {
    let left = await this.count();
    let after: string | undefined;
    let skipped = 0;
    while (left > 0) {
      // A list's places move up as its items are taken away.
      const from = this.#at.kind === 'list' ? placeBefore(skipped) : after;
      const page = await this.list({ count: Math.min(left, PAGE), ...(from && { after: from }) });
      if (page.length === 0) return;
      skipped += page.filter(({ origin }) => origin === undefined).length;
      left -= page.length;
      after = page.at(-1)?.id;
      yield* page;
    }
  }

  #deliveryOf(letter: DeadLetter): Delivery {
    const delivery = this.#deliveries.get(letter);
    if (delivery !== undefined) return delivery;
    throw new SetupError(`deadLetters: give letters that list() of ${describe(this.#at)} returned`);
  }
}

/** The id before the place `at` of a list. */
function placeBefore(at: number): string | undefined {
  return at === 0 ? undefined : String(at - 1);
}
