import { declaredError, destinationOf, isContract, isRpc, placeOf } from '../api/contract.ts';
import { schema } from '../api/from-type.ts';
import { isId } from '../api/identity.ts';
import { signal } from '../api/option-checks.ts';
import type { CallOptions } from '../api/publishing.ts';
import { SetupError } from '../errors.ts';
import {
  checkOptions,
  checkedByReader,
  got,
  isObject,
  millisecondsOrNull,
  wrong,
} from '../internal/checks.ts';
import { uniqueId } from '../internal/ids.ts';
import { validator } from '../message/schema.ts';
import type { CallCommand } from '../rpc/caller/call.ts';
import { parentMessage } from '../rpc/parent.ts';
import { targetOf, type Target } from '../transport/address.ts';
import { timeLeft, type AnyOptions } from './check.ts';
import type { SenderOptions } from './command.ts';

const WHERE = 'answer';

const PLACE = {
  channel: checkedByReader,
  list: checkedByReader,
  stream: checkedByReader,
  maxlen: checkedByReader,
  reply: schema,
};

const OPTIONS = { timeout: millisecondsOrNull, signal };

/** Asks for the answer of a call with an id: `broker.answer`. */
export async function answerOf(
  options: SenderOptions,
  id: unknown,
  of: unknown,
  more: unknown = {},
): Promise<unknown> {
  if (!isId(id)) throw wrong(WHERE, 'id', 'a string of 1 to 1024 bytes', id);
  const place = placeIn(of);
  const { kind, name } = targetIn(place);
  if (!isObject(more))
    throw new SetupError(`${WHERE}: options must be an object, got ${got(more)}`);
  checkOptions(more, OPTIONS, WHERE, WHERE);
  const { timeout = options.timeout, signal: given } = more as CallOptions;
  const { calls } = await options.session();
  const call = uniqueId();
  const command: CallCommand = {
    type: 'request',
    to: { kind, name: options.prefix + name },
    body: undefined,
    headers: undefined,
    correlationId: call,
    replyTo: undefined,
    extras: { id },
    call,
    timeout: timeLeft(timeout, parentMessage()?.deadline),
    signal: given,
    validate: place.reply === undefined ? undefined : validator(place.reply, 'the answer'),
    encoder: options.encoder,
    whole: false,
    dedicated: false,
    asks: true,
  };
  try {
    return await calls.call(command);
  } catch (error) {
    throw isContract(of) ? await declaredError(of, error) : error;
  }
}

/** The place that a call was sent to, of a contract or as it was given. */
function placeIn(of: unknown): AnyOptions {
  if (!isContract(of)) {
    if (!isObject(of)) {
      throw new SetupError(
        `${WHERE}: expected the destination of the call: its contract, { list } or { stream }; got ${got(of)}`,
      );
    }
    checkOptions(of, PLACE, WHERE, WHERE);
    return of;
  }
  if (!isRpc(of))
    throw new SetupError(
      `${WHERE}: the contract of ${placeOf(of)} is an event(), which is not answered`,
    );
  if (of.many)
    throw new SetupError(
      `${WHERE}: the contract of ${placeOf(of)} is answered with a stream, which is not kept`,
    );
  return { ...(destinationOf(of) as AnyOptions), reply: of.reply };
}

function targetIn(place: AnyOptions): Target {
  const target = targetOf(place, WHERE);
  if (target.kind !== 'channel') return target;
  throw new SetupError(
    `${WHERE}: a channel keeps no answers: calls with an id go to a list or a stream`,
  );
}
