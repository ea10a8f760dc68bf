import {
  declaredError,
  destinationOf,
  isContract,
  isRpc,
  placeOf,
  refusePattern,
  templateOf,
  type Contract,
} from '../api/contract.ts';
import type { GatherResult, Publishing } from '../api/publishing.ts';
import type { ContractClient } from '../api/sending.ts';
import { SetupError } from '../errors.ts';
import { got, isObject } from '../internal/checks.ts';
import { validator } from '../message/schema.ts';
import { keyBeside } from './keys.ts';
import { filled } from './template.ts';

/** The method that the user called: the first word of each `SetupError`. */
export type Verb = 'publish' | 'request' | 'requestMany' | 'gather' | 'publishBatch' | 'pipeline';

/** What a contract sets, so that no option beside it can. */
const SET_BY_CONTRACT = ['channel', 'list', 'stream', 'sharded', 'maxlen', 'rpc', 'reply'] as const;

/**
 * Makes a function for each contract: it publishes an event, makes a call, or reads a streamed
 * answer. Throws `SetupError` for a value that is no contract.
 */
export function clientFor<Contracts extends Readonly<Record<string, Contract>>>(
  publishing: Pick<Publishing, 'publish' | 'requestMany'>,
  contracts: Contracts,
): ContractClient<Contracts> {
  // Which types fit the contract is known to the result's type alone.
  const { publish, requestMany } = publishing as unknown as Record<
    'publish' | 'requestMany',
    (body: unknown, contract: Contract, options: object | undefined) => unknown
  >;
  if (!isObject(contracts))
    throw new SetupError(`clientFor: expected an object of contracts, got ${got(contracts)}`);
  const functions = Object.entries(contracts).map(([name, contract]) => {
    if (!isContract(contract)) {
      throw new SetupError(`clientFor: '${name}' is not a contract, as made by rpc() or event()`);
    }
    const send = contract.many ? requestMany : publish;
    return [name, (body: unknown, options?: object) => send(body, contract, options)];
  });
  return Object.fromEntries(functions) as ContractClient<Contracts>;
}

/**
 * The options of one message as one object: those given, or the contract's destination and reply
 * schema with the options beside it. Throws `SetupError` if the verb does not fit the contract, for an
 * option that the contract sets, and for options beside a destination that is no contract.
 */
export function optionsOf(to: unknown, verb: Verb, more: object | undefined): unknown {
  if (!isContract(to)) {
    if (more === undefined) return to;
    throw new SetupError(
      `${verb}: options beside the destination are for contracts: write one object, { channel: 'name', …options }`,
    );
  }
  const taken =
    more && SET_BY_CONTRACT.find((key) => (more as Record<string, unknown>)[key] !== undefined);
  if (taken !== undefined) {
    throw new SetupError(
      `${verb}: '${taken}' is set by the contract of ${placeOf(to)}: leave it out`,
    );
  }
  const { path, ...beside } = (more ?? {}) as { path?: Readonly<Record<string, unknown>> };
  const destination = { ...placeFor(to, path, verb), ...keyBeside(to, more, verb) };
  if (!isRpc(to)) {
    if (verb !== 'request' && verb !== 'requestMany' && verb !== 'gather')
      return { ...destination, ...beside };
    throw new SetupError(
      `${verb}: the contract of ${placeOf(to)} is an event(), which is not answered: use publish()`,
    );
  }
  if (to.many !== (verb === 'requestMany')) {
    const advice = to.many
      ? 'it is answered with a stream: use requestMany()'
      : 'it is answered once: use publish() or request()';
    throw new SetupError(`${verb}: the contract of ${placeOf(to)} does not allow it, ${advice}`);
  }
  const { reply } = to;
  return verb === 'request' || verb === 'requestMany' || verb === 'gather'
    ? { ...destination, reply, ...beside }
    : { ...destination, rpc: true, reply, ...beside };
}

/** The destination of a contract. The parameters of a channel are those in `path`; a pattern names no channel. */
function placeFor(
  to: Contract,
  path: Readonly<Record<string, unknown>> | undefined,
  verb: Verb,
): object {
  const place = destinationOf(to);
  if (to.kind !== 'channel' && path === undefined) return place;
  refusePattern(to, verb);
  const template = templateOf(to, verb);
  if (template === undefined && path === undefined) return place;
  const channel = filled(template, path, placeOf(to), verb);
  return template === undefined ? place : { ...place, channel };
}

/** Checks a body against its contract. It is sent as it is: the handler's schema makes its own output of it. Rejects with `InvalidMessageError`. */
export async function checkBody(contract: Contract, body: unknown): Promise<void> {
  const what = isRpc(contract) ? 'the request to' : 'the message for';
  await validator(contract.schema, `${what} ${placeOf(contract)}`)(body);
}

/** Checks the body, sends, and gives a declared error of the handler the output of its schema. */
export async function sendByContract<Result>(
  contract: Contract,
  body: unknown,
  send: () => Promise<Result>,
): Promise<Result> {
  await checkBody(contract, body);
  try {
    return await send();
  } catch (error) {
    throw await declaredError(contract, error);
  }
}

/** Gives the declared errors in the result of `gather` the output of their schemas. Middleware may have replaced the result. */
export async function withDeclaredErrors(contract: Contract, result: unknown): Promise<unknown> {
  const { errors } = (result ?? {}) as Partial<GatherResult>;
  if (errors === undefined || errors.length === 0) return result;
  const declared = errors.map((error) => declaredError(contract, error));
  return { ...(result as GatherResult), errors: await Promise.all(declared) };
}
