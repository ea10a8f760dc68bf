import type { DiscoveryService } from '@nestjs/core';
import { SetupError } from '../../index.ts';
import { hostsIn } from './host.ts';
import { DEFAULT } from './tokens.ts';

/** What an indicator of `@nestjs/terminus` resolves with. */
export type RedstartHealth<Key extends string> = Record<
  Key,
  { status: 'up' | 'down'; state: 'green' | 'yellow' | 'red'; problems: readonly string[] }
>;

export interface HealthOptions {
  /** The name of the broker. Default: the broker without a name, or the only one. */
  broker?: string;
  /**
   * `ready`: the broker takes work, for a readiness probe. `live`: the process works, for a liveness probe; it
   * stays true when Redis is away. Default `ready`.
   */
  probe?: 'live' | 'ready';
}

/**
 * A health indicator for `@nestjs/terminus`, which need not be there:
 * `health.check([() => redstart.isHealthy('redis')])`. `RedstartModule` provides it.
 */
export class RedstartHealthIndicator {
  readonly #discovery: DiscoveryService;

  /** @internal */
  constructor(discovery: DiscoveryService) {
    this.#discovery = discovery;
  }

  /** Takes 3 s at most, as `broker.health()` does. Rejects with `SetupError` for a broker that there is not. */
  async isHealthy<const Key extends string>(
    key: Key,
    options: HealthOptions = {},
  ): Promise<RedstartHealth<Key>> {
    const { probe = 'ready' } = options;
    const hosts = hostsIn(this.#discovery);
    const { broker: name = hosts.length === 1 ? hosts[0]?.name : DEFAULT } = options;
    const host = hosts.find((one) => one.name === name);
    if (host === undefined)
      throw new SetupError(`redstart/nestjs: isHealthy: no broker has the name '${name}'`);
    if (probe !== 'live' && probe !== 'ready')
      throw new SetupError(
        `redstart/nestjs: isHealthy: 'probe' must be 'live' or 'ready', got '${String(probe)}'`,
      );
    const { [probe]: isUp, status: state, problems } = await host.broker.health();
    const result = { status: isUp ? 'up' : 'down', state, problems } as const;
    return { [key]: result } as RedstartHealth<Key>;
  }
}
