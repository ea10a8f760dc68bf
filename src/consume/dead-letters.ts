import { SetupError } from '../errors.ts';
import type { Codec } from '../message/codec.ts';
import { openFrame, type MessageFormat } from '../message/format.ts';
import * as names from '../message/headers.ts';
import { Message } from '../message/message.ts';
import { describe, type Kind, type Target } from '../transport/address.ts';
import type { Delivery, Transport } from '../transport/transport.ts';

/** Letters looked at in one round trip. */
const PAGE = 100;

/** Headers that say how a message died; the others are its own. */
const STORY = new Set<string>([
  ...[names.ERROR, names.ERROR_CODE, names.DELIVERIES, names.ORIGIN, names.ORIGIN_ID],
  ...[names.ORIGIN_GROUP, names.ORIGIN_FORM, names.ORIGIN_REPLY_TO, names.DIED_AT],
]);

/** One message that was rejected or given up. */
export interface DeadLetter {
  /** The dead letter's own id where it lies in a stream; its place, from 0, in a list. */
  readonly id: string;
  /** Decoded by content type; the bytes as they are where that fails. */
  readonly body: unknown;
  /** The message's own headers. */
  readonly headers: names.Headers;
  /** Name and message of the error; undefined for what is no dead letter of ours. */
  readonly error: string | undefined;
  readonly errorCode: string | undefined;
  /** How often it was delivered before it was given up. */
  readonly deliveries: number;
  /** Where it came from. */
  readonly origin: { readonly stream: string } | { readonly list: string } | undefined;
  /** Its id there, if that was a stream, and the group that gave it up. */
  readonly originId: string | undefined;
  readonly group: string | undefined;
  readonly diedAt: Date | undefined;
}

/** What the rest of the library lends. */
export interface DeadLettersHost {
  transport(): Promise<Transport>;
  readonly codec: Codec;
  readonly format: MessageFormat;
}

/** The dead letters in one stream or list: to look at, to send back to where they came from, to remove. */
export class DeadLetterBox {
  readonly #host: DeadLettersHost;
  readonly #at: Target;
  readonly #deliveries = new WeakMap<DeadLetter, Delivery>();

  /** @internal */
  constructor(at: Target, host: DeadLettersHost) {
    this.#at = at;
    this.#host = host;
  }

  /** How many there are (XLEN, LLEN). */
  async count(): Promise<number> {
    return (await this.#host.transport()).count(this.#at);
  }

  /** The oldest ones, up to `count` (default 100), after the letter with the id `after` (XRANGE, LRANGE). */
  async list(options: { count?: number; after?: string } = {}): Promise<DeadLetter[]> {
    const { count = PAGE, after } = options;
    const transport = await this.#host.transport();
    const found = await transport.peek(this.#at, after, count);
    return found.map((delivery) => this.#read(delivery));
  }

  /**
   * Sends letters back to where they came from, as they came, and removes them; all there are now,
   * unless given. Each is sent before it is removed: interrupted, it leaves one twice and loses none.
   * Other groups of a stream get it once more, too. Resolves with how many were sent; skips what is
   * no dead letter. Rejects with what Redis refused, the rest still there.
   */
  async redrive(letters?: readonly DeadLetter[]): Promise<number> {
    const transport = await this.#host.transport();
    let redriven = 0;
    for await (const letter of letters ?? this.#all()) {
      const delivery = this.#deliveryOf(letter);
      if (letter.origin === undefined) continue;
      await transport.send(originOf(letter), this.#original(delivery));
      await transport.remove(this.#at, delivery);
      redriven++;
    }
    return redriven;
  }

  /** Deletes letters that were listed here (XDEL, LREM). Resolves with how many were still there. */
  async remove(letters: readonly DeadLetter[]): Promise<number> {
    const transport = await this.#host.transport();
    let removed = 0;
    for (const letter of letters) {
      if (await transport.remove(this.#at, this.#deliveryOf(letter))) removed++;
    }
    return removed;
  }

  /** Those that are there now: what comes meanwhile, a redriven one that died again, is left. */
  async *#all(): AsyncGenerator<DeadLetter> {
    let left = await this.count();
    let after: string | undefined;
    let skipped = 0;
    while (left > 0) {
      // A list's places move up as its items are taken away.
      const from = this.#at.kind === 'list' ? listPlace(skipped) : after;
      const page = await this.list({ count: Math.min(left, PAGE), ...(from && { after: from }) });
      if (page.length === 0) return;
      skipped += page.filter(({ origin }) => origin === undefined).length;
      left -= page.length;
      after = page.at(-1)?.id;
      yield* page;
    }
  }

  #read(delivery: Delivery): DeadLetter {
    const { frame } = delivery;
    const bytes = Buffer.isBuffer(frame) ? frame : Buffer.concat([...frame]);
    const message = new Message(bytes, openFrame(bytes, this.#host.format), { channel: '' });
    const header = (name: string): string | undefined => message.headers[name];
    const origin = header(names.ORIGIN);
    const diedAt = header(names.DIED_AT);
    const letter: DeadLetter = {
      id: delivery.id as string,
      body: this.#body(message),
      headers: own(message),
      error: header(names.ERROR),
      errorCode: header(names.ERROR_CODE),
      deliveries: Number(header(names.DELIVERIES) ?? 0),
      origin: origin === undefined ? undefined : parseOrigin(origin),
      originId: header(names.ORIGIN_ID),
      group: header(names.ORIGIN_GROUP),
      diedAt: diedAt === undefined ? undefined : new Date(Number(diedAt)),
    };
    this.#deliveries.set(letter, delivery);
    return letter;
  }

  #body(message: Message): unknown {
    try {
      return this.#host.codec.decode(message.payload, message.contentType);
    } catch {
      return message.payload; // what could not be decoded may be why it died
    }
  }

  /** What was sent first: the frame without the story of its death, or what came instead of one. */
  #original(delivery: Delivery): Uint8Array | readonly Uint8Array[] {
    const bytes = delivery.frame as Buffer;
    const message = new Message(bytes, openFrame(bytes, this.#host.format), { channel: '' });
    const form = message.headers[names.ORIGIN_FORM];
    if (form === 'raw') return message.payload;
    if (form === 'fields') return fieldsIn(message.payload);
    const headers: Record<string, string> = { ...own(message) };
    const replyTo = message.headers[names.ORIGIN_REPLY_TO];
    if (replyTo !== undefined) {
      const [kind, name] = split(replyTo);
      headers[names.REPLY_TO] = name;
      if (kind !== 'channel') headers[names.REPLY_KIND] = kind;
    }
    return this.#host.format.encode({ headers, body: message.payload });
  }

  #deliveryOf(letter: DeadLetter): Delivery {
    const delivery = this.#deliveries.get(letter);
    if (delivery !== undefined) return delivery;
    throw new SetupError(`deadLetters: give letters that list() of ${describe(this.#at)} returned`);
  }
}

function own(message: Message): names.Headers {
  return Object.fromEntries(Object.entries(message.headers).filter(([name]) => !STORY.has(name)));
}

/** `stream orders` */
function split(text: string): [kind: Kind, name: string] {
  const blank = text.indexOf(' ');
  return [text.slice(0, blank) as Kind, text.slice(blank + 1)];
}

function parseOrigin(text: string): DeadLetter['origin'] {
  const [kind, name] = split(text);
  return kind === 'stream' ? { stream: name } : { list: name };
}

function originOf({ origin }: DeadLetter): Target {
  const [kind, name] = Object.entries(origin as object)[0] as [Kind, string];
  return { kind, name };
}

/** The id before the place `at` of a list. */
function listPlace(at: number): string | undefined {
  return at === 0 ? undefined : String(at - 1);
}

/** Fields and values of a stream entry, which a dead letter carries as JSON. */
function fieldsIn(json: Buffer): Uint8Array[] {
  const fields = JSON.parse(json.toString()) as Record<string, string | { data: number[] }>;
  return Object.entries(fields).flatMap(([name, value]) => [
    Buffer.from(name),
    typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.data),
  ]);
}
