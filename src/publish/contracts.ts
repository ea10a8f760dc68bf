import {
  isContract,
  isRpc,
  type Contract,
  type ErrorSchemas,
  type EventContract,
  type RpcContract,
} from '../api/contract.ts';
import { SetupError } from '../errors.ts';
import type { InputOf, OutputOf, Schema } from '../message/schema.ts';
import type {
  ContractCallOptions,
  MessageOptions,
  Publishing,
  StreamOptions,
} from '../api/publishing.ts';

/** One function for each contract, typed by it. */
export type Client<Contracts extends Readonly<Record<string, unknown>>> = {
  readonly [Name in keyof Contracts]: Contracts[Name] extends RpcContract<
    infer Q,
    infer A,
    infer _E,
    infer S
  >
    ? S extends true
      ? (
          body: InputOf<Q>,
          options?: Omit<StreamOptions, 'reply'>,
        ) => AsyncIterableIterator<OutputOf<A>, undefined>
      : (body: InputOf<Q>, options?: ContractCallOptions) => Promise<OutputOf<A>>
    : Contracts[Name] extends EventContract<infer S>
      ? (body: InputOf<S>, options?: MessageOptions) => Promise<number | string>
      : never;
};

/** Functions that call, stream from and publish to what the contracts describe. */
export function clientFor<Contracts extends Readonly<Record<string, Contract>>>(
  publishing: Publishing,
  contracts: Contracts,
): Client<Contracts> {
  const functions = Object.entries(contracts).map(([name, contract]) => {
    if (!isContract(contract)) {
      throw new SetupError(`clientFor: '${name}' is not a contract, as made by rpc() or event()`);
    }
    if (isRpc(contract) && contract.streams) {
      const streaming = contract as RpcContract<Schema, Schema, ErrorSchemas, true>;
      return [
        name,
        (body: unknown, options?: object) => publishing.stream(body, streaming, options),
      ];
    }
    const once = contract as EventContract;
    return [name, (body: unknown, options?: object) => publishing.publish(body, once, options)];
  });
  return Object.fromEntries(functions) as Client<Contracts>;
}
