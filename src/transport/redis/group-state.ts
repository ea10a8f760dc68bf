import type { Redis } from 'ioredis';
import type { GroupState, ReadGroup } from '../store.ts';
import { groupsOf } from './group-admin.ts';
import { redisTrimming } from './trim.ts';

/** XINFO GROUPS; for a reader with `maxlen` also what is needed of its stream. */
export async function groupStateOf(client: Redis, of: ReadGroup): Promise<GroupState> {
  const all = await groupsOf(client, of.name);
  const found = all.find(({ name }) => name === of.group);
  if (found === undefined)
    throw new Error(`NOGROUP stream '${of.name}' has no group '${of.group}'`);
  const { pending, lag, consumers } = found;
  const trimming = of.maxlen === undefined ? undefined : await redisTrimming(client, of);
  return { pending, lag, consumers, trimming };
}
