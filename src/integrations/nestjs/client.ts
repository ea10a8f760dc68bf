import { Inject } from '@nestjs/common';
import type { Contract, ContractClient, RedisBroker } from '../../index.ts';
import { getBrokerToken } from './tokens.ts';

/**
 * A class of a typed client, to extend and to inject by its type:
 *
 * `class Shop extends clientOf({ place, ship }) {}`, then `providers: [Shop]` and `constructor(private shop: Shop)`.
 *
 * Each contract is a method, as of `broker.clientFor`. `broker` is the name of the broker that sends.
 */
export function clientOf<Contracts extends Readonly<Record<string, Contract>>>(
  contracts: Contracts,
  options: { broker?: string } = {},
): new (broker: RedisBroker) => ContractClient<Contracts> {
  class Client {
    constructor(broker: RedisBroker) {
      Object.assign(this, broker.clientFor(contracts));
    }
  }
  Inject(getBrokerToken(options.broker))(Client, undefined, 0);
  return Client as unknown as new (broker: RedisBroker) => ContractClient<Contracts>;
}
