/** The keys beside a reliable list. All hash to the slot of the list itself. */
export class ListKeys {
  readonly list: string;
  /** What all of them begin with. */
  readonly base: string;
  /** A hash: the consumers, and the number of the last sign of life of each. Expires when nobody holds anything. */
  readonly consumers: string;
  /** A hash: how often items of the list were delivered before, by their digests. Expires. */
  readonly counts: string;
  /** A sorted set: ids of items that wait for their next delivery, and when they are due. */
  readonly parked: string;
  /** A hash: those items. */
  readonly parkedItems: string;
  /** A sorted set, with lanes: digests of items that pause, and when that ends. Expires. */
  readonly paused: string;

  constructor(list: string) {
    this.list = list;
    this.base = besideKey('list', list);
    this.consumers = `${this.base}:consumers`;
    this.counts = `${this.base}:counts`;
    this.parked = `${this.base}:parked`;
    this.parkedItems = `${this.base}:parked:items`;
    this.paused = `${this.base}:paused`;
  }

  /** A hash: the items that a consumer holds. */
  heldBy(consumer: string): string {
    return `${this.base}:held:${consumer}`;
  }

  /** A list: what BLMOVE has moved for a consumer that has not taken it yet. */
  movedFor(consumer: string): string {
    return `${this.base}:moved:${consumer}`;
  }
}

/**
 * The beginning of our keys beside a list or stream. They share its hash tag; without one, its name is
 * their tag. On a cluster a name with an empty tag `{}` does not work.
 */
export function besideKey(kind: string, name: string): string {
  return /^[^{]*\{[^}]/.test(name) ? `redstart:${kind}::${name}` : `redstart:${kind}:{${name}}`;
}
