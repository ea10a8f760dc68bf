import {
  isContract,
  isRpc,
  placeOf,
  rethrow,
  type Contract,
  type ErrorSchemas,
  type EventContract,
  type RpcContract,
} from '../api/contract.ts';
import { SetupError } from '../errors.ts';
import { validator, type Schema } from '../message/schema.ts';
import type { ContractClient, Publishing } from '../api/publishing.ts';

/**
 * Makes a function for each contract: it publishes an event, makes a call, or reads a streamed
 * answer. Throws `SetupError` for a value that is no contract.
 */
export function clientFor<Contracts extends Readonly<Record<string, Contract>>>(
  publishing: Pick<Publishing, 'publish' | 'requestMany'>,
  contracts: Contracts,
): ContractClient<Contracts> {
  const functions = Object.entries(contracts).map(([name, contract]) => {
    if (!isContract(contract)) {
      throw new SetupError(`clientFor: '${name}' is not a contract, as made by rpc() or event()`);
    }
    if (isRpc(contract) && contract.many) {
      const streaming = contract as RpcContract<Schema, Schema, ErrorSchemas, true>;
      return [
        name,
        (body: unknown, options?: object) => publishing.requestMany(body, streaming, options),
      ];
    }
    const once = contract as EventContract;
    return [name, (body: unknown, options?: object) => publishing.publish(body, once, options)];
  });
  return Object.fromEntries(functions) as ContractClient<Contracts>;
}

/**
 * The options of one message: the contract's address and reply schema, and the caller's options.
 * Throws `SetupError` if the verb does not fit: a contract with `many: true` needs `requestMany`, any
 * other needs `publish` or `request`.
 */
export function optionsOf(
  contract: Contract,
  verb: 'publish' | 'request' | 'requestMany',
  more: object | undefined,
): object {
  const { group: _, ...address } = contract.address;
  if (!isRpc(contract)) return { ...address, ...more };
  if (contract.many !== (verb === 'requestMany')) {
    const advice = contract.many
      ? 'it is answered with a stream: use requestMany()'
      : 'it is answered once: use publish() or request()';
    throw new SetupError(
      `${verb}: the contract of ${placeOf(contract)} does not allow it, ${advice}`,
    );
  }
  const { reply } = contract;
  return verb === 'publish'
    ? { ...address, rpc: true, reply, ...more }
    : { ...address, reply, ...more };
}

/** The output of the contract's schema for the body. Rejects with `InvalidMessageError` if the body does not fit. */
export async function validated(contract: Contract, body: unknown): Promise<unknown> {
  return validator(contract.schema, `the request to ${placeOf(contract)}`)(body);
}

/** Sends a message or call by its contract: checks the body, and the data of a declared error that the handler throws. */
export async function sendByContract(
  contract: Contract,
  verb: 'publish' | 'request',
  body: unknown,
  more: object | undefined,
  send: (body: unknown, options: object) => Promise<unknown>,
): Promise<unknown> {
  const valid = await validated(contract, body);
  try {
    return await send(valid, optionsOf(contract, verb, more));
  } catch (error) {
    return rethrow(contract, error);
  }
}
