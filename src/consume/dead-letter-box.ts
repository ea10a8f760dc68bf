import { RedstartError, SendError, SetupError, messageOf } from '../errors.ts';
import { checkKeys, count as expectCount, got, isObject } from '../internal/checks.ts';
import type { Codec } from '../message/codec.ts';
import { describe, type Target } from '../transport/address.ts';
import { asking } from '../transport/refusal.ts';
import type { Delivery } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';
import { decodeLetter, originalOf, type DeadLetter } from './dead-letter-format.ts';

/** Letters read in one round trip. */
const PAGE = 100;

/** What Redis says of one place, and not of all: other letters may go elsewhere. */
const OF_ONE_PLACE = /^(WRONGTYPE|NOPERM)/;

/** The highest number in the id of a stream's entry. */
const MAX_ID = 2n ** 64n - 1n;

/** Which dead letters: those that meet every condition given; all of them without one. */
export interface DeadLetterChoice {
  /**
   * Only dead letters with this error: its code (`INVALID_MESSAGE`), its name (`TypeError`), a part of its
   * message, or the whole text as in `DeadLetter.error`. Upper and lower case differ. Default: all.
   */
  error?: string;
  /** Only dead letters with these ids, as `list` returns them. An id that does not exist is ignored. Default: all. */
  ids?: readonly string[];
}

/** Which dead letters to list. */
export interface DeadLetterPage extends DeadLetterChoice {
  /** The largest number of dead letters to return. Default 100. */
  count?: number;
  /** Only dead letters after the one with this id. Default: from the oldest. */
  after?: string;
}

/** What a box needs of its broker. */
export interface DeadLetterBoxOptions {
  readonly transport: () => Promise<Transport>;
  /** How bodies from there are decoded. */
  readonly codecAt: (origin: Target) => Codec;
  /** Whether letters may be sent there: to names with the broker's prefix alone. */
  readonly owns: (origin: Target) => boolean;
}

/** Lists, sends back and removes the dead letters in one stream or list. */
export class DeadLetterBox {
  readonly #options: DeadLetterBoxOptions;
  readonly #at: Target;

  /** @internal */
  constructor(at: Target, options: DeadLetterBoxOptions) {
    this.#at = at;
    this.#options = options;
  }

  /** The number of entries (XLEN, LLEN), including those that are not dead letters. */
  count(): Promise<number> {
    return asking(this.#at, async () => (await this.#options.transport()).count(this.#at));
  }

  /**
   * The oldest letters that `which` describes, at most `count` (XRANGE, LRANGE). Without `error`, also
   * entries that are not dead letters of redstart. Throws `SetupError` for a wrong choice.
   */
  async list(which: DeadLetterPage = {}): Promise<DeadLetter[]> {
    checkChoice(which, ['error', 'ids', 'count', 'after'], 'list');
    const { count = PAGE, after } = which;
    expectCount(count, 'count', 'list');
    if (after !== undefined && (typeof after !== 'string' || !/^\d+(-\d+)?$/.test(after)))
      throw new SetupError(`list: 'after' must be the id of a dead letter, got ${got(after)}`);
    const found: DeadLetter[] = [];
    const pages = which.ids === undefined ? this.#pages(after, Infinity) : this.#byId(which.ids);
    for await (const page of pages) {
      for (const delivery of page) {
        const letter = decodeLetter(delivery, this.#options.codecAt);
        if (matches(letter, which)) found.push(letter);
        if (found.length === count) return found;
      }
    }
    return found;
  }

  /**
   * Sends the letters that `which` describes (default: all that exist now) back to where they came from, as
   * they were, and removes them (XADD or RPUSH, then XDEL or LREM). Only the group that gave a
   * letter up handles it again (header `redstart-for`); groups of other programs get it, too, and all groups get
   * entries that were no frames. Each letter is sent before it is removed: an interruption may leave one twice,
   * and loses none. Resolves with how many were sent. Entries that are not dead letters of redstart stay, and
   * so do those from outside the prefix of the broker. A letter that its place cannot take (its key is of another
   * type, a right is missing) stays, and blocks no other: when all others are sent, it rejects with `SendError`. Any
   * other refusal (no memory, a replica) rejects at once; the rest is then still there.
   */
  async redrive(which: DeadLetterChoice = {}): Promise<number> {
    checkChoice(which, ['error', 'ids'], 'redrive');
    const transport = await this.#options.transport();
    let refusal: SendError | undefined;
    let stays = 0;
    const done = await this.#each(which, async (delivery) => {
      const original = originalOf(delivery);
      if (original === undefined || !this.#options.owns(original.to)) return 'kept';
      const { to } = original;
      try {
        await transport.send(to, original.frame);
      } catch (error) {
        const refused = error instanceof RedstartError ? error : new SendError(describe(to), error);
        if (!(refused instanceof SendError) || !OF_ONE_PLACE.test(messageOf(error))) throw refused;
        refusal ??= refused;
        stays++;
        return 'kept';
      }
      await this.#remove(transport, delivery);
      return 'done';
    });
    if (refusal === undefined) return done;
    const rest = `${refusal.message} (dead letters that stay for such a reason: ${stays}, sent back: ${done})`;
    throw Object.assign(refusal, { message: rest });
  }

  /** Deletes the letters that `which` describes, default: all that exist now (XDEL, LREM). Resolves with how many. */
  async remove(which: DeadLetterChoice = {}): Promise<number> {
    checkChoice(which, ['error', 'ids'], 'remove');
    const transport = await this.#options.transport();
    return this.#each(which, async (delivery) =>
      (await this.#remove(transport, delivery)) ? 'done' : 'gone',
    );
  }

  /** How many of those described were done with. Those that come meanwhile, such as a redriven one that died again, are left. */
  async #each(
    which: DeadLetterChoice,
    act: (delivery: Delivery) => Promise<'done' | 'gone' | 'kept'>,
  ): Promise<number> {
    const isList = this.#at.kind === 'list';
    let done = 0;
    const visit = async (delivery: Delivery): Promise<boolean> => {
      const isMeant = matches(decodeLetter(delivery, this.#options.codecAt), which);
      const outcome = isMeant ? await act(delivery) : 'kept';
      if (outcome === 'done') done++;
      return outcome === 'kept';
    };
    if (which.ids !== undefined) {
      // A list's places move up as its items are taken away: all are read first.
      const chosen: Delivery[] = [];
      for await (const page of this.#byId(which.ids)) chosen.push(...page);
      for (const delivery of chosen) await visit(delivery);
      return done;
    }
    const transport = await this.#options.transport();
    let left = await this.count();
    let after: string | undefined;
    let kept = 0;
    while (left > 0) {
      const from = isList ? placeBefore(kept) : after;
      const page = await this.#peek(transport, from, Math.min(left, PAGE));
      if (page.length === 0) break;
      for (const delivery of page) if (await visit(delivery)) kept++;
      left -= page.length;
      after = page.at(-1)?.id;
    }
    return done;
  }

  #peek(transport: Transport, after: string | undefined, max: number): Promise<Delivery[]> {
    return asking(this.#at, () => transport.peek(this.#at, after, max));
  }

  #remove(transport: Transport, delivery: Delivery): Promise<boolean> {
    return asking(this.#at, () => transport.remove(this.#at, delivery));
  }

  async *#pages(after: string | undefined, max: number): AsyncGenerator<Delivery[]> {
    const transport = await this.#options.transport();
    let from = after;
    let left = max;
    while (left > 0) {
      const page = await this.#peek(transport, from, Math.min(left, PAGE));
      if (page.length === 0) return;
      yield page;
      left -= page.length;
      from = page.at(-1)?.id;
    }
  }

  async *#byId(ids: readonly string[]): AsyncGenerator<Delivery[]> {
    const transport = await this.#options.transport();
    for (const id of new Set(ids)) {
      const before = this.#before(id);
      if (before === null) continue;
      const page = await this.#peek(transport, before, 1);
      yield page.filter((delivery) => delivery.id === id);
    }
  }

  /** The next smaller id; undefined before the first, null for what is no id here. */
  #before(id: string): string | undefined | null {
    if (this.#at.kind === 'list') return /^\d{1,15}$/.test(id) ? placeBefore(Number(id)) : null;
    const [, ms, seq] = /^(\d{1,20})-(\d{1,20})$/.exec(id) ?? [];
    if (ms === undefined || seq === undefined) return null;
    if (BigInt(ms) > MAX_ID || BigInt(seq) > MAX_ID) return null;
    if (BigInt(seq) > 0n) return `${ms}-${BigInt(seq) - 1n}`;
    return BigInt(ms) === 0n ? null : `${BigInt(ms) - 1n}-${MAX_ID}`;
  }
}

function matches(letter: DeadLetter, { error }: DeadLetterChoice): boolean {
  if (error === undefined) return true;
  const text = letter.error;
  if (text === undefined) return false;
  const end = text.indexOf(': ');
  const [name, message] = end < 0 ? [text, text] : [text.slice(0, end), text.slice(end + 2)];
  return letter.errorCode === error || name === error || text === error || message.includes(error);
}

function checkChoice(which: unknown, keys: readonly string[], where: string): void {
  if (!isObject(which))
    throw new SetupError(`${where}: expected an object such as { ids: ['…'] }, got ${got(which)}`);
  checkKeys(which, keys, where, 'dead letters');
  const { error, ids }: { error?: unknown; ids?: unknown } = which;
  if (error !== undefined && (typeof error !== 'string' || error === ''))
    throw new SetupError(`${where}: 'error' must be a text that is not empty, got ${got(error)}`);
  if (ids === undefined) return;
  if (!Array.isArray(ids) || ids.some((id) => typeof id !== 'string'))
    throw new SetupError(`${where}: 'ids' must be an array of texts, got ${got(ids)}`);
}

/** The id before the place `at` of a list. */
function placeBefore(at: number): string | undefined {
  return at === 0 ? undefined : String(at - 1);
}
