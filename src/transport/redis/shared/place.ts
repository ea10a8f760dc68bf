import { settledWithin } from '../../../internal/deferred.ts';
import { makeUpName } from '../group-admin.ts';
import type { Connections } from '../connections.ts';
import type { BlockingRead } from './blocking-read.ts';
import { JointRead } from './joint-read.ts';
import { Lookout } from './lookout.ts';
import { Seat, type Shared } from './seat.ts';
import { SideConnection } from './side-connection.ts';

/** Connections for blocking commands, where the server tells of changes. */
const MAX_JOINTS = 3;

/** Seats that wait together, where the server tells the others of changes: what a blocking command costs the server grows with its keys. */
const MAX_FRONT = 16;

/** Milliseconds after which a seat that got nothing leaves its place to a busy one. */
const IDLE = 1_000;

const NOT_OPEN = 'a seat is used before its place is open';

/** A blocking command, and the seats that wait in it where not all do. */
interface Joint {
  readonly read: JointRead;
  readonly front: Set<Seat>;
}

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
  readonly #joints = new Map<string, Joint>();
  #opening: Promise<void> | undefined;
  #side: SideConnection | undefined;
  #lookout: Lookout | undefined;

  constructor(connections: Connections, key: string, onEmpty: () => void) {
    this.connections = connections;
    this.#key = key;
    this.#onEmpty = onEmpty;
  }

  get side(): SideConnection {
    if (this.#side === undefined) throw new Error(NOT_OPEN);
    return this.#side;
  }

  open(): Promise<void> {
    return (this.#opening ??= this.#open());
  }

  seat(key: string, onClose: () => void): Seat {
    let numbers = this.#numbers.get(key);
    if (numbers === undefined) this.#numbers.set(key, (numbers = new Set()));
    let number = 0;
    while (numbers.has(number)) number++;
    numbers.add(number);
    const seat = new Seat(this, key, number, onClose);
    this.#seats.add(seat);
    return seat;
  }

  consumer(seat: Seat): string {
    this.#named.add(seat);
    return (this.#names[seat.number] ??= makeUpName());
  }

  /** One command cannot name a key twice: a second seat of a key waits elsewhere. */
  joint(seat: Seat, { kind, together }: BlockingRead): JointRead | undefined {
    if (together === undefined) return undefined;
    const name = `${seat.number} ${kind}`;
    const known = this.#joints.get(name);
    if (!this.lookout.isTold) return (known ?? this.#makeJoint(name)).read;
    if (known === undefined && this.#joints.size >= MAX_JOINTS) return undefined;
    const { read, front } = known ?? this.#makeJoint(name);
    return hasPlace(front, seat) ? read : undefined;
  }

  get lookout(): Lookout {
    if (this.#lookout === undefined) throw new Error(NOT_OPEN);
    return this.#lookout;
  }

  cut(seat: Seat, { kind, key }: BlockingRead): void {
    this.#side?.wake();
    this.#lookout?.wake(key);
    this.#joints.get(`${seat.number} ${kind}`)?.read.leave(key);
  }

  leave(seat: Seat): void {
    if (!this.#seats.delete(seat)) return;
    for (const { front } of this.#joints.values()) front.delete(seat);
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
    for (const { read } of this.#joints.values()) read.close();
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
    this.#lookout = new Lookout(this.connections, side);
    // Without it, seats wait together, and lists are looked at.
    await settledWithin(this.#lookout.open(this.#key), this.connections.connectTimeout);
  }

  #makeJoint(name: string): Joint {
    const rested = (): void => void this.#joints.delete(name);
    const read = new JointRead(this.connections, this.#reconnected, rested);
    const joint = { read, front: new Set<Seat>() };
    this.#joints.set(name, joint);
    return joint;
  }

  /** What was on its way over the last connection may be lost: each source is to look. */
  readonly #reconnected = (): void => {
    for (const seat of this.#seats) seat.reconnected();
  };
}

/** Whether a seat is among the first, or becomes one of them: where there is room, or for one that is busy in the place of one that is not. */
function hasPlace(front: Set<Seat>, seat: Seat): boolean {
  if (front.has(seat)) return true;
  if (front.size >= MAX_FRONT) {
    const idle = seat.isBusy ? [...front].find((other) => other.idle > IDLE) : undefined;
    if (idle === undefined) return false;
    front.delete(idle);
  }
  front.add(seat);
  return true;
}
