import type { Source } from '../source.ts';

/** A connection that tests can break, between a memory transport and its data. */
export interface Gate {
  /** Milliseconds since it was broken; 0 while it stands. */
  readonly downFor: number;
  /** Resolves when the connection stands; undefined where it does. Called with everything that is sent or asked. */
  passed(): Promise<void> | undefined;
  /** Until the result is called, has a subscription ended when the connection breaks, and made again when it is back. */
  add(subscription: Subscription): () => void;
  /** A source that hands nothing over while the connection is down. */
  guard(source: Source): Source;
}

/** What a broken connection takes away. */
export interface Subscription {
  cut(): void;
  restore(): void;
}
