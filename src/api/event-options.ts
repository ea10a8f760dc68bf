/** The options that are given beside the contract of an event. */
import type { Mistake } from '../internal/mistake.ts';
import type { IdOptions } from './identity.ts';
import type { SendLimits } from './limits.ts';
import type { KeyedOptions, MessageOptions } from './message-options.ts';
import type { OneTime, TimeOptions } from './time.ts';

/** Options of an event that its contract does not set. */
export type EventOptions<
  Id extends string = string,
  When extends number | Date = number | Date,
> = KeyedOptions & IdOptions<Id> & TimeOptions<When> & SendLimits & OneTime;

/** Options of the messages of a batch that their contract does not set. */
export type BatchedEventOptions<
  Body = unknown,
  Id extends string = string,
  When extends number | Date = number | Date,
> = EachKeyed<Body> &
  Pick<IdOptions<Id>, 'idWindow'> &
  TimeOptions<When> &
  OneTime & {
    /** Makes the id of each message, as `id` of `publish`. Default: none. */
    id?: (body: Body, index: number) => Id;
  };

/** Options of a message of a pipeline that its contract does not set. */
export type PipelinedEventOptions<Body = unknown> = EachKeyed<Body> &
  TimeOptions &
  OneTime &
  (
    | { id: EachId<Body>; /** As of `publish`. Default: that of the broker. */ idWindow?: number }
    | {
        /** Its id as of `publish`, or a function that makes it. Default: none. */
        id?: EachId<Body>;
        idWindow?: Mistake<"'idWindow' needs 'id'">;
      }
  );

type EachId<Body> = string | ((body: Body, index: number) => string);

interface EachKeyed<Body> extends MessageOptions {
  /** One key for all messages, or a function that makes the key of each. Default: none. */
  key?: string | ((body: Body, index: number) => string);
}
