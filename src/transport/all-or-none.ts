import { describe } from './address.ts';
import type { Outbound } from './transport.ts';

const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

/**
 * Redis undoes nothing: a command of a transaction that fails as it runs leaves the others done. What
 * makes one fail then is a key of another type, so that is looked for before. `typesOf` asks for what TYPE says
 * of each name. Resolves with the results of a transaction of which nothing is sent; with undefined where all can be.
 */
export async function refusedByType(
  outbound: readonly Outbound[],
  typesOf: (names: readonly string[]) => Promise<readonly string[]>,
): Promise<PromiseRejectedResult[] | undefined> {
  const names = [...new Set(outbound.filter(isWritten).map(({ to }) => to.name))];
  const answers = await typesOf(names);
  const types = new Map(names.map((name, i) => [name, answers[i] as string]));
  const first = new Map<string, string>();
  const isRefused = outbound.map((one) => {
    if (!isWritten(one)) return false;
    const { kind, name } = one.to;
    const type = types.get(name) ?? 'none';
    // Two kinds of message to one name: the first one makes the key.
    if (!first.has(name)) first.set(name, type === 'none' ? kind : type);
    return first.get(name) !== kind;
  });
  const cause = outbound[isRefused.indexOf(true)];
  if (cause === undefined) return undefined;
  const why = `nothing of the transaction is sent, because of ${describe(cause.to)}: ${WRONG_TYPE}`;
  return isRefused.map((is) => ({
    status: 'rejected',
    reason: new Error(is ? WRONG_TYPE : why),
  }));
}

/** A delayed message is kept in a key of ours, whatever its target is now. */
function isWritten({ to, later }: Outbound): boolean {
  return to.kind !== 'channel' && later === undefined;
}
