import { SetupError } from '../errors.ts';
import type { ReplyAddress } from '../message/encoder.ts';
import { targetOf, type Target } from '../transport/address.ts';
import type { AnyOptions } from './check.ts';
import type { Verb } from './contracts.ts';

/** Where a message is sent, with the broker's prefix. Throws `SetupError` for no place, for two, and for `maxlen` of anything but a stream. */
export function targetIn(options: AnyOptions, verb: Verb, prefix: string): Target {
  const target = targetOf(options, verb);
  if (prefix === '' && options.maxlen === undefined) return target;
  if (options.maxlen !== undefined && target.kind !== 'stream') {
    throw new SetupError(`${verb}: 'maxlen' is only for a stream, not for a ${target.kind}`);
  }
  return { ...target, name: prefix + target.name, maxlen: options.maxlen };
}

/** Where an answer is sent, with the broker's prefix; undefined where none was asked for. */
export function replyAddressIn(
  replyTo: unknown,
  verb: Verb,
  prefix: string,
): ReplyAddress | undefined {
  if (replyTo === undefined) return undefined;
  const given = typeof replyTo === 'string' ? { channel: replyTo } : (replyTo as object);
  const { kind, name, sharded } = targetOf(given, `${verb}: replyTo`);
  if (sharded) throw new SetupError(`${verb}: an answer cannot go to a sharded channel`);
  return { kind, name: prefix + name };
}
