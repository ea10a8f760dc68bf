import type { OutputOf } from '../message/schema.ts';
import type { Contract, EventContract, RpcContract } from './contract.ts';
import type {
  BodyFor,
  ContractCallOptions,
  OfContract,
  Publishing,
  RequestManyOptions,
  Sent,
} from './publishing.ts';
import type { EventOptions } from './event-options.ts';

/** One function for each contract, typed by it. */
export type ContractClient<Contracts extends Readonly<Record<string, unknown>>> = {
  readonly [Name in keyof Contracts]: Contracts[Name] extends RpcContract
    ? Contracts[Name] extends { readonly many: true }
      ? (
          body: BodyFor<Contracts[Name]>,
          options?: OfContract<Contracts[Name], Omit<RequestManyOptions, 'reply'>>,
        ) => AsyncIterableIterator<OutputOf<Contracts[Name]['reply']>, undefined>
      : (
          body: BodyFor<Contracts[Name]>,
          options?: OfContract<Contracts[Name], ContractCallOptions>,
        ) => Promise<OutputOf<Contracts[Name]['reply']>>
    : Contracts[Name] extends EventContract
      ? <Id extends string = never, When extends number | Date = never>(
          body: BodyFor<Contracts[Name]>,
          options?: OfContract<Contracts[Name], EventOptions<Id, When>>,
        ) => Promise<Sent<Contracts[Name], Id | When>>
      : never;
};

/** What a handler's context sends with: `ctx.publish` and its kin. */
export interface Sending extends Pick<
  Publishing,
  'publish' | 'request' | 'requestMany' | 'gather'
> {
  /** One typed function for each contract. */
  readonly clientFor: <Contracts extends Readonly<Record<string, Contract>>>(
    contracts: Contracts,
  ) => ContractClient<Contracts>;
}
