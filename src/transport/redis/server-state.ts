import type { Cluster, Redis } from 'ioredis';
import type { ServerState } from '../store.ts';
import { ListKeys } from './list-keys.ts';

/** What a Redis server says of itself and of what lies beside our lists. */
export class RedisState implements ServerState {
  readonly #client: Redis | Cluster;

  constructor(client: Redis | Cluster) {
    this.#client = client;
  }

  /** ZCARD. */
  parked(list: string): Promise<number> {
    return this.#client.zcard(new ListKeys(list).parked);
  }

  /** INFO of each master: whether one has used its `maxmemory` up and may evict nothing. */
  async isFull(): Promise<boolean> {
    const nodes = 'nodes' in this.#client ? this.#client.nodes('master') : [this.#client];
    const infos = await Promise.all(nodes.map((node) => node.info('memory')));
    return infos.some(isUsedUp);
  }
}

/** As Redis decides it: buffers of replicas and of the append-only file do not count. */
function isUsedUp(info: string): boolean {
  const numberOf = (field: string): number =>
    Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const most = numberOf('maxmemory');
  if (most === 0 || !info.includes('maxmemory_policy:noeviction')) return false;
  return numberOf('used_memory') - numberOf('mem_not_counted_for_evict') > most;
}
