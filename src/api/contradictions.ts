/** Options of one message that contradict each other. */
import type { Mistake } from '../internal/mistake.ts';

/** What the options in `Given` exclude. */
export type Contradicted<Given> = (Given extends {
  readonly delay: number;
  readonly at: number | Date;
}
  ? { at?: Mistake<"'delay' and 'at' both say when: give one of them"> }
  : unknown) &
  (Given extends { readonly idWindow: number }
    ? [Extract<keyof Given, 'id' | 'channel'>] extends [never]
      ? { idWindow?: Mistake<"'idWindow' needs 'id'"> }
      : unknown
    : unknown);
