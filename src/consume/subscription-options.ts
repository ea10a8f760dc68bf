import type { Lanes } from '../transport/lanes.ts';
import type { Delivery, Report, Source } from '../transport/source.ts';
import type { Process } from './counted.ts';

export interface SubscriptionOptions {
  readonly source: Source;
  /** How many calls of `process` may run at once, at first. */
  readonly concurrency: number;
  /** The most deliveries for one call of `process`; 1 unless they are handled in batches. */
  readonly batch: number;
  /** Deliveries per read; undefined: adapted to the speed of the handler. */
  readonly fetch: number | undefined;
  /** Whether another consumer could handle what is fetched here: a list, a group. */
  readonly isShared: boolean;
  /** With `ordered`: what the source hands over in turn. It is not given back while a handler is slow. */
  readonly lanes: Lanes | undefined;
  /** Handles deliveries. A returned promise resolves when the next ones may start. */
  readonly process: Process;
  /** Takes deliveries whose `process` threw or rejected, which it should never do: logs and settles. Never throws. */
  readonly rescue: (deliveries: readonly Delivery[], error: unknown) => void;
  /** What the user can do about an error that another attempt does not fix; undefined for other errors. */
  readonly adviceOn: (error: unknown) => string | undefined;
  readonly report: Report;
}
