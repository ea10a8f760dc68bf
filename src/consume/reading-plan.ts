import type { AckPolicy } from '../api/ack-policy.ts';
import type { Observers } from '../api/observer.ts';
import type { Publishing } from '../api/publishing.ts';
import type { Logger } from '../internal/logger.ts';
import type { Codec } from '../message/codec.ts';
import type { MessageFormat } from '../message/format.ts';
import type { ChannelPattern, Target } from '../transport/address.ts';
import type { Delivery, Report, SourceOptions } from '../transport/source.ts';
import type { Pause } from './breaker.ts';
import type { Routes } from './dispatcher.ts';
import type { Overrides } from './inject.ts';
import type { Retries } from './settlement.ts';

/** One source to open and how its messages are handled: plain data. */
export interface ReadingPlan {
  /** For logs: `list 'orders' (Orders.place)`. */
  readonly name: string;
  /** `list 'orders'` */
  readonly address: string;
  readonly source: SourceOptions;
  /** Channels only. */
  readonly pattern: ChannelPattern | undefined;
  readonly noReply: boolean;
  readonly ackPolicy: AckPolicy;
  readonly retry: Retries | undefined;
  readonly deadLetter: Target | undefined;
  readonly pause: Pause | undefined;
  /** Milliseconds for which handled ids are remembered; undefined: not at all. */
  readonly once: number | undefined;
  /** Milliseconds for a handler; undefined: no limit. */
  readonly timeout: number | undefined;
  readonly concurrency: number;
  /** Whether messages of one key are handled in order, one at a time. */
  readonly ordered: boolean;
  /** Whether Redis keeps a message until it is acknowledged. */
  readonly needsAck: boolean;
  /** Messages for one call of a batch handler, at most; undefined for one by one. */
  readonly batch: number | undefined;
  /** Messages fetched at once; undefined: as many as the handler's pace suggests. */
  readonly fetch: number | undefined;
  /** Milliseconds that a batch may wait to be full. */
  readonly maxWait: number;
}

/** What a broker lends to a subscriber that runs. */
export interface Environment {
  readonly logger: Logger;
  readonly broker: Publishing;
  readonly overrides: Overrides;
  readonly observers: Observers;
  readonly codec: Codec;
  readonly format: MessageFormat;
  readonly routes: Routes;
  /** See {@link Completion}. */
  readonly isLastResort: (delivery: Delivery, isForAll: boolean) => boolean | Promise<boolean>;
  /** Whether it is these handlers that answer a question to all subscribers of a channel. */
  readonly answersAll: (delivery: Delivery) => boolean;
  readonly onExpired: () => void;
  /** Milliseconds that handlers have when they are stopped. */
  readonly gracefulTimeout: number;
  /** For logs; it changes with the handlers. */
  readonly name: () => string;
  readonly report: Report;
}
