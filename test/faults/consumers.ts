// Consumers in processes of their own (programs/consumer.ts), and what they say of their work.
import { redisUrl, type Finished } from '../support/redis.ts';
import { startProgram, type Child } from './child.ts';

export interface Said {
  began?: unknown;
  handled?: unknown;
  /** The delivery count of what was begun. */
  count?: number;
}

/** A consumer that has started; `how` is what its handler does. */
export async function consumer(address: object, how: string, finished?: Finished): Promise<Child> {
  const child = await startProgram(
    'consumer',
    [redisUrl(), JSON.stringify(address), how],
    finished,
  );
  await child.next(); // ready
  return child;
}

/** Everything that a consumer says from now on. */
export function listen(child: Child): Said[] {
  const said: Said[] = [];
  void (async () => {
    for (;;) said.push((await child.next()) as Said);
  })().catch(() => undefined); // it has ended, as it was to
  return said;
}

export function handledBy(...said: readonly Said[][]): unknown[] {
  return said.flat().flatMap(({ handled }) => (handled === undefined ? [] : [handled]));
}
