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
    : unknown) &
  (Given extends { readonly headers: { readonly message_id: unknown } }
    ? Given extends { readonly id: unknown } | { readonly rpc: true }
      ? {
          headers?: {
            message_id?: Mistake<"'id' is sent as the header 'message_id': give one or the other">;
          };
        }
      : unknown
    : unknown);
