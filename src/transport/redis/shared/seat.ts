import { monotonicTime } from '../../../internal/clock.ts';
import { deferred, settledWithin, type Deferred } from '../../../internal/deferred.ts';
import type { Connections } from '../connections.ts';
import type { Reader } from '../reader.ts';
import { blockingRead, type BlockingRead } from './blocking-read.ts';
import { READ_ALONE, type JointRead } from './joint-read.ts';
import type { Lookout } from './lookout.ts';
import { Portion } from './portion.ts';
import type { SideConnection } from './side-connection.ts';

/** Milliseconds in which what was there when a read began has come. */
const SOON = 1;

/** Milliseconds within which a busy source gets two messages. */
const BUSY = 1_000;

/** What seats share. */
export interface Shared {
  readonly connections: Connections;
  readonly side: SideConnection;
  /** What a seat waits in together with others; undefined where it is to wait until its key changes. */
  joint(seat: Seat, read: BlockingRead): JointRead | undefined;
  readonly lookout: Lookout;
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
  readonly #onClose: () => void;
  readonly #portion = new Portion();
  #turn: Turn | undefined;
  /** Whether there was nothing more when it read last. */
  #isEmpty = false;
  /** When it got something, the last two times. */
  #last = -Infinity;
  #before = -Infinity;
  #isStopped = false;
  onReconnect: (() => void) | undefined;
  readonly #isOver = (): boolean => this.#isStopped;

  constructor(place: Shared, key: string, number: number, onClose: () => void) {
    this.#onClose = onClose;
    this.#place = place;
    this.key = key;
    this.number = number;
  }

  /** Milliseconds since it got something. */
  get idle(): number {
    return monotonicTime() - this.#last;
  }

  /** Whether it gets something all the time. */
  get isBusy(): boolean {
    return monotonicTime() - this.#before < BUSY;
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
      return await this.#read(turn);
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
    this.#onClose();
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

  /** Reads alone; where nothing is there, waits together with others, or until the key changes. */
  async #read(turn: Turn): Promise<unknown> {
    const { read } = turn;
    const end = monotonicTime() + read.wait;
    for (;;) {
      const joint = this.#place.joint(this, read);
      const found = await (joint === undefined
        ? this.#watch(turn, end)
        : this.#join(joint, turn, end));
      if (found !== READ_ALONE) return found;
    }
  }

  async #join(joint: JointRead, turn: Turn, end: number): Promise<unknown> {
    if (!this.#isEmpty) {
      const found = await this.#readAlone(turn.read);
      if (found !== null || turn.isCut) return found;
    }
    if (turn.isCut) return null;
    const joined = monotonicTime();
    const reply = await joint.join(turn.read, end);
    // What came after a while is probably all that there is.
    this.#isEmpty = reply !== READ_ALONE && (reply === null || monotonicTime() - joined > SOON);
    if (reply !== READ_ALONE && reply !== null) this.#served();
    return reply;
  }

  /** Resolves with {@link READ_ALONE} where the seat is to wait in another way. */
  async #watch(turn: Turn, end: number): Promise<unknown> {
    const { key } = turn.read;
    const { lookout } = this.#place;
    let isLikely = !this.#isEmpty;
    for (;;) {
      // Where something is probably there, the server need not tell of it.
      const change = isLikely ? undefined : lookout.watch(key);
      try {
        const found = await this.#readAlone(turn.read);
        const left = end - monotonicTime();
        if (found !== null || turn.isCut || left <= 0) return found;
        if (change !== undefined) {
          await settledWithin(change, left);
          if (turn.isCut) return null;
          if (!lookout.isTold && turn.read.together !== undefined) return READ_ALONE;
        }
        isLikely = change !== undefined;
      } finally {
        if (change !== undefined) lookout.forget(key, change);
      }
    }
  }

  async #readAlone(read: BlockingRead): Promise<unknown> {
    const max = this.#portion.of(read.count);
    const reply = read.whole(await this.#place.side.run(...read.alone(max), this.#isOver));
    const count = reply === null ? 0 : this.#portion.learn(reply);
    // What moves one item is followed by what takes the rest.
    this.#isEmpty = count < max || read.together === undefined;
    if (count > 0) this.#served();
    return reply;
  }

  #served(): void {
    this.#before = this.#last;
    this.#last = monotonicTime();
  }
}
