import { compareIds } from './source.ts';

/** How far a stream can be trimmed to its `maxlen`. */
export interface Trimming {
  /** Entries in the stream. */
  readonly length: number;
  /** The lowest id that a group still needs, but for those that are ignored. */
  readonly floor: string;
  /** The group that needs it. */
  readonly heldBy: string;
  /** Groups that need more and are ignored, since they are silent: what they have not handled is trimmed. */
  readonly ignored: readonly string[];
}

/** What one group needs of its stream. */
export interface Need {
  readonly group: string;
  /** The lowest id that it has pending, or, where nothing is, the last that was delivered to it. */
  readonly from: string;
}

/** The needs up to that of the group that trims, the lowest first. What is above does not stop it. */
export function upToOwn(needs: readonly Need[], own: string): Need[] {
  const isOwn = ({ group }: Need): number => Number(group === own);
  const sorted = needs.toSorted((a, b) => compareIds(a.from, b.from) || isOwn(b) - isOwn(a));
  return sorted.slice(0, sorted.findIndex(({ group }) => group === own) + 1);
}

/** `needs` are those up to its own, the lowest first; `silent` says of how many, from the first on, the groups are ignored. */
export function trimmingOf(
  length: number,
  needs: readonly Need[],
  silent: number,
): Trimming | undefined {
  const holder = needs[silent];
  if (holder === undefined) return undefined;
  const behind = needs.slice(0, silent).filter(({ from }) => compareIds(from, holder.from) < 0);
  const ignored = behind.map(({ group }) => group);
  return { length, floor: holder.from, heldBy: holder.group, ignored };
}
