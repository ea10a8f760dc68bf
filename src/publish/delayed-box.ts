import { destinationOf, isContract, placeOf, templateOf } from '../api/contract.ts';
import { address } from '../api/option-checks.ts';
import { SetupError } from '../errors.ts';
import { checkOptions, count, got, isObject, nonEmptyText, wrong } from '../internal/checks.ts';
import type { Encoder } from '../message/encoder.ts';
import { openFrame } from '../message/format.ts';
import type { Headers } from '../message/headers.ts';
import { ReceivedMessage } from '../message/message.ts';
import { targetOf, type Target } from '../transport/address.ts';
import { asking } from '../transport/refusal.ts';
import type { DelayedFrame, Timed } from '../transport/timed.ts';
import type { SenderOptions } from './command.ts';

/** A message that waits on the server until it is due. */
export interface DelayedMessage {
  /** What `publish` resolved with; for `cancel`. */
  readonly id: string;
  /** When it is sent, by the server's clock. */
  readonly due: Date;
  /** Decoded by the broker's codec; the bytes where that cannot be done. */
  readonly body: unknown;
  readonly headers: Headers;
}

/** Which delayed messages to list. */
export interface DelayedPage {
  /** The largest number of messages to return. Default 100. */
  count?: number;
  /** How many messages to skip, from the one that is due first. Default 0. */
  skip?: number;
}

/** What a box needs of its sender. */
export interface DelayedBoxOptions extends Pick<SenderOptions, 'prefix' | 'encoder' | 'session'> {
  /** The address as it was given, and the method that it was given to. */
  readonly to: unknown;
  readonly where: string;
}

/** What is not sent yet to one channel, list or stream. */
export class DelayedBox {
  readonly #at: Target;
  readonly #timed: () => Promise<Timed>;
  readonly #encoder: Encoder;

  /** @internal */
  constructor({ to, where, prefix, encoder, session }: DelayedBoxOptions) {
    if (isContract(to) && templateOf(to, where) !== undefined)
      throw new SetupError(
        `${where}: ${placeOf(to)} is a template, and does not say which channel is meant: give its full name`,
      );
    const given: unknown = isContract(to) ? destinationOf(to) : to;
    address(given, 'the address', where, {});
    const at = typeof given === 'string' ? { channel: given } : (given as object);
    const target = targetOf(at, where);
    this.#at = { ...target, name: prefix + target.name };
    this.#timed = async () => (await session()).transport.timed;
    this.#encoder = encoder;
  }

  /** Those that are due first, first (EVALSHA). Throws `SetupError` for what is no page. */
  async list(which: DelayedPage = {}): Promise<DelayedMessage[]> {
    if (!isObject(which))
      throw new SetupError(`list: expected an object such as { count: 10 }, got ${got(which)}`);
    checkOptions(which, { count, skip }, 'list', 'list');
    const timed = await this.#timed();
    const page = [which.skip ?? 0, which.count ?? 100] as const;
    const frames = await asking(this.#at, () => timed.delayed(this.#at, ...page));
    return frames.map((frame) => this.#read(frame));
  }

  /** Takes a message back (EVALSHA). Resolves with false where it was sent, or is not known. */
  async cancel(id: string): Promise<boolean> {
    nonEmptyText(id, 'the handle', 'cancel');
    const timed = await this.#timed();
    return asking(this.#at, () => timed.cancel(this.#at, id));
  }

  #read({ handle, due, frame }: DelayedFrame): DelayedMessage {
    const { codec, format } = this.#encoder;
    const { kind, name } = this.#at;
    let headers: Headers = {};
    let body: unknown = frame;
    try {
      const source = { [kind]: name } as { list: string };
      const message = new ReceivedMessage(frame, openFrame(frame, format), source);
      ({ headers } = message);
      body = message.payload;
      body = message.decode(codec);
    } catch {
      // Another program's codec has written it, and whoever reads the messages there understands it.
    }
    return { id: handle, due: new Date(due), body, headers };
  }
}

function skip(value: unknown, key: string, where: string): void {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return;
  throw wrong(where, key, 'a whole number, 0 or more', value, 'number');
}
