import { makeUpName } from '../group-admin.ts';
import type { Connections } from '../connections.ts';
import type { BlockingRead } from './blocking-read.ts';
import { JointRead } from './joint-read.ts';
import { Lookout } from './lookout.ts';
import { Seat, type Shared } from './seat.ts';
import { SideConnection } from './side-connection.ts';

/**
 * The connections that sources share which read from one server, or from one slot of a cluster: one for
 * commands that do not block, one for each kind of blocking command, and one that is told of changes.
 */
export class Place implements Shared {
  readonly connections: Connections;
  /** A key that is read here: on a cluster, connections go to its node. */
  readonly #key: string;
  readonly #onEmpty: () => void;
  readonly #seats = new Set<Seat>();
  /** By key: the numbers that seats have, or that their consumers' names have. */
  readonly #numbers = new Map<string, Set<number>>();
  /** Consumers' names by number: sources of different streams can have one name, and be read by one command. */
  readonly #names: string[] = [];
  readonly #named = new Set<Seat>();
  readonly #joints = new Map<string, JointRead>();
  #opening: Promise<void> | undefined;
  #side: SideConnection | undefined;
  #lookout: Lookout | undefined;

  constructor(connections: Connections, key: string, onEmpty: () => void) {
    this.connections = connections;
    this.#key = key;
    this.#onEmpty = onEmpty;
  }

  get side(): SideConnection {
    if (this.#side === undefined) throw new Error('a seat is used before its place is open');
    return this.#side;
  }

  open(): Promise<void> {
    return (this.#opening ??= this.#open());
  }

  seat(key: string): Seat {
    let numbers = this.#numbers.get(key);
    if (numbers === undefined) this.#numbers.set(key, (numbers = new Set()));
    let number = 0;
    while (numbers.has(number)) number++;
    numbers.add(number);
    const seat = new Seat(this, key, number);
    this.#seats.add(seat);
    return seat;
  }

  consumer(seat: Seat): string {
    this.#named.add(seat);
    return (this.#names[seat.number] ??= makeUpName());
  }

  /** One command cannot name a key twice: a second seat of a key waits elsewhere. */
  joint(seat: Seat, { kind }: BlockingRead): JointRead {
    const name = `${seat.number} ${kind}`;
    let joint = this.#joints.get(name);
    if (joint === undefined) {
      const rested = (): void => void this.#joints.delete(name);
      joint = new JointRead(this.connections, this.#reconnected, rested);
      this.#joints.set(name, joint);
    }
    return joint;
  }

  lookout(): Lookout {
    if (this.#lookout === undefined) {
      this.#lookout = new Lookout(this.connections, this.side);
      // Without it, lists are looked at.
      this.#lookout.open(this.#key).catch(() => undefined);
    }
    return this.#lookout;
  }

  cut(seat: Seat, read: BlockingRead): void {
    this.#side?.wake();
    if (read.together === undefined) this.#lookout?.wake(read.key);
    else this.#joints.get(`${seat.number} ${read.kind}`)?.leave(read.key);
  }

  leave(seat: Seat): void {
    if (!this.#seats.delete(seat)) return;
    if (!this.#named.has(seat)) this.free(seat);
    if (this.#seats.size > 0) return;
    this.close();
    this.#onEmpty();
  }

  free(seat: Seat): void {
    const numbers = this.#numbers.get(seat.key);
    numbers?.delete(seat.number);
    if (numbers?.size === 0) this.#numbers.delete(seat.key);
    this.#named.delete(seat);
  }

  close(): void {
    for (const joint of this.#joints.values()) joint.close();
    this.#lookout?.close();
    this.#side?.close();
  }

  async #open(): Promise<void> {
    const side = await SideConnection.open(this.connections, this.#key);
    side.onReconnect = () => {
      this.#lookout?.sideChanged();
      this.#reconnected();
    };
    this.#side = side;
  }

  /** What was on its way over the last connection may be lost: each source is to look. */
  readonly #reconnected = (): void => {
    for (const seat of this.#seats) seat.reconnected();
  };
}
