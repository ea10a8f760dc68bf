import { BlockingReader } from './blocking-reader.ts';
import type { Sharing, SharingOptions } from '../sharing.ts';
import type { Connections } from './connections.ts';
import type { Reader } from './reader.ts';
import { Place } from './shared/place.ts';

export type { Reader } from './reader.ts';

/** Opens what sources read with. */
export class Readers {
  readonly connections: Connections;
  readonly #sharing: Sharing;
  /** By slot; -1 where there are none. */
  readonly #places = new Map<number, Place>();

  constructor(connections: Connections, { connections: sharing = 'dedicated' }: SharingOptions) {
    this.connections = connections;
    this.#sharing = sharing;
  }

  /** A reader for one key. */
  async open(key: string): Promise<Reader> {
    if (this.#sharing === 'dedicated') return BlockingReader.open(this.connections, key);
    const place = this.#placeOf(key);
    const seat = place.seat(key);
    try {
      await place.open();
    } catch (error) {
      seat.close();
      throw error;
    }
    return seat;
  }

  close(): void {
    for (const place of this.#places.values()) place.close();
  }

  #placeOf(key: string): Place {
    const slot = this.connections.slotOf(key) ?? -1;
    const known = this.#places.get(slot);
    if (known !== undefined) return known;
    const place = new Place(this.connections, key, () => this.#places.delete(slot));
    this.#places.set(slot, place);
    return place;
  }
}
