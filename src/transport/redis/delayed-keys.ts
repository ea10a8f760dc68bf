import type { Target } from '../address.ts';
import { besideKey } from './list-keys.ts';

/** The keys of the frames that wait to be sent to one target. They are in the slot of the target. */
export class DelayedKeys {
  /** A sorted set: handles, by their due times. */
  readonly dues: string;
  /** A hash: by handle, what is needed to send the frame, `:`, and the frame. */
  readonly frames: string;
  /** The name of the store in the index. */
  readonly store: string;

  constructor(to: Target) {
    const kind = storeKind(to);
    this.dues = `${besideKey('delayed', to.name)}:${kind}`;
    this.frames = `${this.dues}:frames`;
    this.store = `${kind}:${to.name}`;
  }
}

/**
 * The key of the index, a sorted set: the stores of all targets whose names begin with `prefix`, by the
 * time at which each is to be looked at. The channel of the same name tells of new ones.
 */
export function indexKey(prefix: string): string {
  return besideKey('delayed', prefix);
}

/** The key of a series of repeated messages, a hash in the slot of their target. */
export function seriesKey(to: Target, id: string): string {
  return `${besideKey('every', to.name)}:${storeKind(to)}:${id}`;
}

/** The kind of a target; sharded channels are one of their own. */
export function storeKind({ kind, sharded }: Target): string {
  return sharded === true ? 'sharded' : kind;
}

/** The target of a store in the index; undefined for what is no store. */
export function targetOfStore(store: string): Target | undefined {
  const colon = store.indexOf(':');
  const kind = store.slice(0, colon);
  const name = store.slice(colon + 1);
  if (kind === 'sharded') return { kind: 'channel', name, sharded: true };
  if (kind === 'channel' || kind === 'list' || kind === 'stream') return { kind, name };
  return undefined;
}
