import type { Middleware } from '../api/middleware.ts';
import { SetupError } from '../errors.ts';
import type { Sender } from '../publish/sender.ts';
import type { Formats, Senders } from './senders.ts';

/** One way from a broker down to a router: a router that is included twice has two. */
export interface Place {
  /** The broker's. */
  readonly senders: Senders;
  /** All prefixes on the way, the broker's first. */
  readonly prefix: string;
  /** All middleware on the way, the broker's first. */
  readonly middlewares: readonly Middleware[];
}

/** The sender at the one place of a publisher. */
export function onlyPlace([place, ...others]: readonly Place[], formats: Formats): Sender {
  if (place !== undefined && others.length === 0)
    return place.senders.sender(place.prefix, () => place.middlewares, formats);
  throw new SetupError(
    `publisher: its router is included in ${others.length === 0 ? 'no broker' : `${others.length + 1} brokers`}: include it in one, or use the publisher of a broker`,
  );
}
