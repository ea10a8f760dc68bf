import { monotonicTime } from '../../../internal/clock.ts';
import { deferred, settledWithin, type Deferred } from '../../../internal/deferred.ts';
import type { Connections } from '../connections.ts';
import type { Reader } from '../reader.ts';
import { blockingRead, type BlockingRead } from './blocking-read.ts';
import { READ_ALONE, type JointRead } from './joint-read.ts';
import type { Lookout } from './lookout.ts';
import { Portion } from './portion.ts';
import type { SideConnection } from './side-connection.ts';

/** What seats share. */
export interface Shared {
  readonly connections: Connections;
  readonly side: SideConnection;
  /** What a seat waits for together with others. */
  joint(seat: Seat, read: BlockingRead): JointRead;
  lookout(): Lookout;
  /** Has a read that waits end as soon as it can. */
  cut(seat: Seat, read: BlockingRead): void;
  /** The name of the seat's consumer. It is kept for the seat until `free`: under it, entries may be pending. */
  consumer(seat: Seat): string;
  free(seat: Seat): void;
  leave(seat: Seat): void;
}

/** A blocking read that is under way. */
interface Turn {
  readonly read: BlockingRead;
  readonly ended: Deferred<void>;
  isCut: boolean;
}

/** Reads for one source on connections that it shares with others. */
export class Seat implements Reader {
  readonly key: string;
  /** Of the sources that read the same key here, this is number … */
  readonly number: number;
  readonly #place: Shared;
  readonly #portion = new Portion();
  #turn: Turn | undefined;
  #isStopped = false;
  onReconnect: (() => void) | undefined;
  readonly #isOver = (): boolean => this.#isStopped;

  constructor(place: Shared, key: string, number: number) {
    this.#place = place;
    this.key = key;
    this.number = number;
  }

  get consumer(): string {
    return this.#place.consumer(this);
  }

  async run(name: string, args: (string | number | Buffer)[]): Promise<unknown> {
    const read = blockingRead(name, args);
    if (read === undefined) return this.#place.side.run(name, args, this.#isOver);
    if (this.#isStopped) return null;
    const turn: Turn = { read, ended: deferred(), isCut: false };
    this.#turn = turn;
    try {
      return await (read.together === undefined ? this.#watch(turn) : this.#read(turn));
    } finally {
      this.#turn = undefined;
      turn.ended.resolve();
    }
  }

  /** Ends the read that waits now. */
  async interrupt(): Promise<void> {
    const turn = this.#cut();
    if (turn === undefined) return;
    const { block, blockGrace } = this.#place.connections.timings;
    await settledWithin(turn.ended.promise, block + blockGrace);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.interrupt();
  }

  close(): void {
    this.#isStopped = true;
    this.#cut();
    this.#place.leave(this);
  }

  /** A connection is new: the source looks for what the last one may have lost. */
  reconnected(): void {
    this.onReconnect?.();
    this.#cut();
  }

  freeConsumer(): void {
    this.#place.free(this);
  }

  #cut(): Turn | undefined {
    const turn = this.#turn;
    if (turn === undefined) return undefined;
    turn.isCut = true;
    this.#place.cut(this, turn.read);
    return turn;
  }

  /** Reads alone, and waits with the others where nothing is there. */
  async #read(turn: Turn): Promise<unknown> {
    const { read } = turn;
    for (;;) {
      if (turn.isCut) return null;
      const found = await this.#readAlone(turn);
      if (found !== null || turn.isCut) return found;
      const reply = await this.#place.joint(this, read).join(read);
      if (reply !== READ_ALONE) return reply;
    }
  }

  async #readAlone({ read }: Turn): Promise<unknown> {
    const command = read.alone(this.#portion.of(read.count));
    const reply = read.whole(await this.#place.side.run(...command, this.#isOver));
    if (reply !== null) this.#portion.learn(reply);
    return reply;
  }

  /** Reads alone each time that the list may have an item. */
  async #watch(turn: Turn): Promise<unknown> {
    const { key, wait } = turn.read;
    const end = monotonicTime() + wait;
    const lookout = this.#place.lookout();
    for (;;) {
      const change = lookout.watch(key);
      try {
        const found = await this.#readAlone(turn);
        const left = end - monotonicTime();
        if (found !== null || turn.isCut || left <= 0) return found;
        await settledWithin(change, left);
      } finally {
        lookout.forget(key, change);
      }
    }
  }
}
