import type { StreamSourceOptions } from '../transport/source.ts';
import type { GroupState } from '../transport/store.ts';

/** Redis trims whole nodes of a stream, 100 entries each by default: that many more are no problem. */
const NODE = 100;

/** What keeps a stream from its `maxlen`, and which groups lose entries by it: one sentence each. */
export function trimmingProblems(
  { maxlen = Infinity, group: own }: StreamSourceOptions,
  state: GroupState | undefined,
): string[] {
  if (state?.trimming === undefined) return [];
  const { trimming, pending, lag = 0 } = state;
  const { length, heldBy, ignored } = trimming;
  const problems = ignored.map(
    (group) =>
      `nobody reads for the group '${group}', so 'trimPast' has it ignored: it loses what 'maxlen' trims; remove it if it is not needed (broker.groups)`,
  );
  // What its own group has handled is trimmed with the next acknowledgement.
  const isHeld = heldBy !== own || pending + lag > 0;
  if (!isHeld || length - maxlen < Math.max(NODE, maxlen / 2)) return problems;
  const who = heldBy === own ? `its own group '${heldBy}'` : `the group '${heldBy}'`;
  return [
    ...problems,
    `'maxlen' ${maxlen} cannot be kept, the stream has ${length} entries: ${who} has not handled the oldest`,
  ];
}
