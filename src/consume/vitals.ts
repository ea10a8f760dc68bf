import type { Backlog } from '../transport/source.ts';

/** An error of reading, and when it occurred. */
export interface Incident {
  readonly message: string;
  /** The time, as ISO 8601. */
  readonly at: string;
}

/** The state of a subscription. */
export interface Vitals {
  /** `paused`: by `subscriber.pause()`. `open`: the handler failed too often in a row. */
  readonly state: 'running' | 'retrying' | 'failed' | 'stopped' | 'paused' | 'open';
  /** The last error of reading, which may be over. */
  readonly lastError: Incident | undefined;
  /** Calls of `process` that have not ended. */
  readonly running: number;
  /** Milliseconds since the oldest of them began. */
  readonly longest: number;
  /** Deliveries handled so far. */
  readonly handled: number;
  /** Deliveries that are fetched and not started. */
  readonly fetched: number;
  /** Deliveries in this process that are not acknowledged, those that wait for a retry included. */
  readonly held: number;
  /** Messages that could not be sent to their dead letters yet. */
  readonly unburied: number;
  readonly backlog: Backlog | undefined;
}

/** Of a channel that is left while it is paused. */
export const LEFT: Vitals = {
  state: 'paused',
  lastError: undefined,
  running: 0,
  longest: 0,
  handled: 0,
  fetched: 0,
  held: 0,
  unburied: 0,
  backlog: { waiting: 0, dropped: 0, droppedAgo: Infinity },
};
