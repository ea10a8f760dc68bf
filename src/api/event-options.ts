/** The options that are given beside the contract of an event. */
import type { IdOptions } from './identity.ts';
import type { SendLimits } from './limits.ts';
import type { KeyedOptions, MessageOptions } from './message-options.ts';
import type { TimeOptions } from './time.ts';

/** Options of an event that its contract does not set. */
export interface EventOptions<
  Id extends string = string,
  When extends number | Date = number | Date,
>
  extends KeyedOptions, IdOptions<Id>, TimeOptions<When>, SendLimits {}

/** Options of the messages of a batch that their contract does not set. */
export interface BatchedEventOptions<
  Body = unknown,
  Id extends string = string,
  When extends number | Date = number | Date,
>
  extends EachKeyed<Body>, Pick<IdOptions, 'idWindow'>, TimeOptions<When> {
  /** Makes the id of each message, as `id` of `publish`. Default: none. */
  id?: (body: Body, index: number) => Id;
}

/** Options of a message of a pipeline that its contract does not set. */
export interface PipelinedEventOptions<Body = unknown>
  extends EachKeyed<Body>, Pick<IdOptions, 'idWindow'>, TimeOptions {
  /** Its id as of `publish`, or a function that makes it. Default: none. */
  id?: string | ((body: Body, index: number) => string);
}

interface EachKeyed<Body> extends MessageOptions {
  /** One key for all messages, or a function that makes the key of each. Default: none. */
  key?: string | ((body: Body, index: number) => string);
}
