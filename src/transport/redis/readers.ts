import type { Sharing, SharingOptions } from '../sharing.ts';
import { BlockingReader } from './blocking-reader.ts';
import type { Connections } from './connections.ts';
import type { Reader } from './reader.ts';
import { Place } from './shared/place.ts';

export type { Reader } from './reader.ts';

/** The most readers of one server, or of one slot of a cluster, that have a connection each, unless the user says which. */
const MANY = 8;

/** What one source reads with, to be opened. */
export interface Opener {
  readonly connections: Connections;
  open(): Promise<Reader>;
}

/** Opens what sources read with. */
export class Readers {
  readonly #connections: Connections;
  readonly #sharing: Sharing | undefined;
  /** Connections that are shared, by slot; -1 where there are none. */
  readonly #places = new Map<number, Place>();
  /** How many readers there are or are about to be, by slot. */
  readonly #counts = new Map<number, number>();

  constructor(connections: Connections, { connections: sharing }: SharingOptions) {
    this.#connections = connections;
    this.#sharing = sharing;
  }

  /**
   * Calls `open` with what opens a reader of `key`. It counts from now on, so that those that are opened together
   * know of each other.
   */
  async use<T>(key: string, open: (opener: Opener) => Promise<T>): Promise<T> {
    const slot = this.#connections.slotOf(key) ?? -1;
    const end = this.#count(slot);
    try {
      return await open({
        connections: this.#connections,
        open: () => this.#open(key, slot, end),
      });
    } catch (error) {
      end();
      throw error;
    }
  }

  close(): void {
    for (const place of this.#places.values()) place.close();
  }

  /** Counts a reader until the result is called. */
  #count(slot: number): () => void {
    const add = (more: number): void => {
      const count = (this.#counts.get(slot) ?? 0) + more;
      if (count === 0) this.#counts.delete(slot);
      else this.#counts.set(slot, count);
    };
    let hasEnded = false;
    add(1);
    return () => {
      if (!hasEnded) add(-1);
      hasEnded = true;
    };
  }

  async #open(key: string, slot: number, onClose: () => void): Promise<Reader> {
    if (!(await this.#isShared(slot))) return BlockingReader.open(this.#connections, key, onClose);
    const place = this.#placeOf(key, slot);
    const seat = place.seat(key, onClose);
    try {
      await place.open();
    } catch (error) {
      seat.close();
      throw error;
    }
    return seat;
  }

  async #isShared(slot: number): Promise<boolean> {
    if (this.#sharing !== undefined) return this.#sharing === 'shared';
    // Those that are opened in this tick are counted first.
    await new Promise((resolve) => setImmediate(resolve));
    return (this.#counts.get(slot) ?? 0) > MANY;
  }

  #placeOf(key: string, slot: number): Place {
    const known = this.#places.get(slot);
    if (known !== undefined) return known;
    const place = new Place(this.#connections, key, () => this.#places.delete(slot));
    this.#places.set(slot, place);
    return place;
  }
}
