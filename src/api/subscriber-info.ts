import type { Kind } from '../transport/address.ts';

/** Which handler something is about: `ctx.subscriber`, the events of an observer, `broker.subscribers`. */
export interface SubscriberInfo {
  /** Names it in logs: the option `title`, or class and method. */
  readonly title: string;
  readonly description: string | undefined;
  /** `list 'orders'`, as in logs and errors. */
  readonly address: string;
  readonly kind: Kind;
  /** The full name, prefix included; a template stays as it was written. */
  readonly name: string;
  /** The group of a stream. */
  readonly group: string | undefined;
  /** Whether the handler receives arrays: the option `batch`. */
  readonly batch: boolean;
  /** The class, where the handler is a method. */
  readonly class: string | undefined;
  readonly method: string | undefined;
}
