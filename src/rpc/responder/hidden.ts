import { InvalidMessageError, RedstartError } from '../../errors.ts';
import { toWire } from '../remote-error.ts';

/** The error that a caller gets with `errorPolicy: 'hide'`; the correlation id finds the real one in the logs. */
const HIDDEN = { name: 'Error', message: 'Internal error' };

/**
 * What callers are told in the place of redstart's own messages, by code. Those name handlers, or say
 * what is wrong with a handler's result.
 */
const TEXTS = new Map<string, string>([
  ['DECODE', 'the message cannot be decoded'],
  ['ENCODE', 'the answer cannot be sent'],
  ['EXHAUSTED', 'the message was delivered too often'],
  ['EXPIRED', 'the request came after its deadline'],
  ['HANDLER_TIMEOUT', 'the handler took too long'],
  ['ID_CONFLICT', 'the id was used before for another body'],
  ['NO_MATCHING_HANDLER', 'no handler accepts this message'],
  ['NO_REPLY', 'nobody answers this message'],
  ['STREAM', 'the handler answers with a stream: call it by broker.requestMany()'],
  ['STREAM_BROKEN', 'the stream was interrupted'],
]);

/**
 * An error as it crosses under `errorPolicy: 'hide'`. `isOwn`: redstart refuses the request, and no code of the
 * user has thrown the error. The caller gets the code of such a refusal, and of a body that does not
 * fit the schema also what is wrong with it: these tell nothing of the handler.
 */
export function hiddenWire(error: unknown, isOwn: boolean): object {
  if (!isOwn || !(error instanceof RedstartError)) return HIDDEN;
  if (error instanceof InvalidMessageError) return toWire(error);
  const { name, code } = error;
  const message = TEXTS.get(code);
  return message === undefined ? HIDDEN : { name, message, code };
}
