import { clearTimer, monotonicTime, setTimer } from '../internal/clock.ts';
import type { Delivery } from './delivery.ts';

export interface LanesOptions {
  /** The lane that a delivery belongs to. */
  readonly laneOf: (delivery: Delivery) => string;
  /** Whether a delivery keeps its lane until it is acknowledged, and not only until its handler has ended. */
  readonly needsAck: boolean;
}

/**
 * `ready`: the next that the reader gets. `running`: the reader has it, or its handler runs. `away`: it was
 * refused, and its source brings it again. `later`: it is here, and its pause is not over.
 */
type State = 'ready' | 'running' | 'away' | 'later';

interface Lane {
  readonly name: string;
  /** The delivery that has the lane. */
  current: Delivery;
  state: State;
  /** Nothing more comes of it: acknowledged, abandoned, or somebody else's. */
  isSettled: boolean;
  /** Its next delivery came while the handler of the last one still ran. */
  isBack: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Those behind it, in order. */
  readonly queue: Delivery[];
}

interface Place {
  readonly lane: Lane;
  /** Counts those that came. */
  readonly at: number;
  /** When its pause ends. */
  readonly until: number;
}

/** A stream's entry keeps its id, and a list's item its bytes, from one delivery to the next. */
function identity({ id, frame }: Delivery): unknown {
  return id ?? frame;
}

/**
 * The deliveries of one source, each in the lane of its key. One of a lane is handed over at a time, in the
 * order in which they came; it keeps the lane until its handler has ended and it is settled, through all
 * its retries.
 */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Everything that is here or that comes again. */
  readonly #places = new Map<unknown, Place>();
  #count = 0;
  #running = 0;
  #onReady: (delivery: Delivery) => void = () => undefined;

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /** Called with each delivery whose turn it is. */
  set onReady(onReady: (delivery: Delivery) => void) {
    this.#onReady = onReady;
  }

  /** Deliveries that wait: for their lane, for the reader, or for their next delivery. */
  get waiting(): number {
    return this.#places.size - this.#running;
  }

  /** A delivery that came, for the first time or again. */
  add(delivery: Delivery): void {
    const known = this.#places.get(identity(delivery));
    if (known !== undefined) return this.#again(known.lane, delivery);
    const name = this.#options.laneOf(delivery);
    const busy = this.#lanes.get(name);
    const lane: Lane = busy ?? {
      name,
      current: delivery,
      state: 'ready',
      isSettled: false,
      isBack: false,
      timer: undefined,
      queue: [],
    };
    const { pause } = delivery;
    const until = pause === undefined ? 0 : monotonicTime() + pause;
    this.#places.set(identity(delivery), { lane, at: ++this.#count, until });
    if (busy !== undefined) return void busy.queue.push(delivery);
    this.#lanes.set(name, lane);
    this.#prepare(lane);
  }

  /** A reader has taken these. */
  taken(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      const lane = this.#laneOf(delivery);
      if (lane === undefined) continue;
      lane.state = 'running';
      this.#running++;
    }
  }

  /** The handler of a delivery has really ended. */
  ended(delivery: Delivery): void {
    const lane = this.#laneOf(delivery);
    if (lane?.state !== 'running') return;
    this.#running--;
    lane.state = 'away';
    if (lane.isSettled || !this.#options.needsAck) this.#free(lane);
    else if (lane.isBack) {
      lane.isBack = false;
      this.#prepare(lane);
    }
  }

  /** Nothing more comes of a delivery: it is acknowledged, abandoned, or somebody else's. */
  settled(delivery: Delivery): void {
    const lane = this.#laneOf(delivery);
    if (lane === undefined) return;
    if (lane.state === 'away') this.#free(lane);
    else lane.isSettled = true;
  }

  /**
   * Takes out what has not begun, together with `begun`, which a reader had taken in vain: all in the order
   * in which they came. What runs, and what comes again, keeps its lane.
   */
  drain(taken: readonly Delivery[]): Delivery[] {
    const all = [...taken];
    for (const delivery of taken) {
      const lane = this.#laneOf(delivery);
      if (lane?.state === 'running') this.#running--;
      if (lane !== undefined) lane.state = 'ready';
    }
    const given = new Set<unknown>(taken);
    for (const lane of this.#lanes.values()) {
      all.push(...lane.queue.splice(0));
      if (lane.state !== 'ready' && lane.state !== 'later') continue;
      if (!given.has(lane.current)) all.push(lane.current);
      clearTimer(lane.timer);
      this.#lanes.delete(lane.name);
    }
    const placeOf = (one: Delivery): number => this.#places.get(identity(one))?.at ?? 0;
    all.sort((a, b) => placeOf(a) - placeOf(b));
    for (const one of all) this.#places.delete(identity(one));
    return all;
  }

  /** Hands over again what a reader had taken and has not begun. */
  putBack(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      const lane = this.#laneOf(delivery);
      if (lane?.state !== 'running') continue;
      this.#running--;
      this.#prepare(lane);
    }
  }

  /** No pause ends here any more. */
  stop(): void {
    for (const { timer } of this.#lanes.values()) clearTimer(timer);
  }

  /** The lane that a delivery has. */
  #laneOf(delivery: Delivery): Lane | undefined {
    const lane = this.#places.get(identity(delivery))?.lane;
    return lane !== undefined && identity(lane.current) === identity(delivery) ? lane : undefined;
  }

  #again(lane: Lane, delivery: Delivery): void {
    if (identity(lane.current) === identity(delivery)) {
      lane.current = delivery;
      if (lane.state === 'running') lane.isBack = true;
      else if (lane.state === 'away') this.#prepare(lane);
      return;
    }
    // Somebody else had it meanwhile, and gave it back.
    const at = lane.queue.findIndex((one) => identity(one) === identity(delivery));
    if (at >= 0) lane.queue[at] = delivery;
  }

  /** It is the turn of a lane's delivery, when its pause is over. */
  #prepare(lane: Lane): void {
    const until = this.#places.get(identity(lane.current))?.until ?? 0;
    const pause = until === 0 ? 0 : until - monotonicTime();
    lane.isSettled = false;
    const ready = (): void => {
      lane.state = 'ready';
      this.#onReady(lane.current);
    };
    if (pause <= 0) return ready();
    lane.state = 'later';
    lane.timer = setTimer(ready, pause);
  }

  #free(lane: Lane): void {
    this.#places.delete(identity(lane.current));
    const next = lane.queue.shift();
    if (next === undefined) return void this.#lanes.delete(lane.name);
    lane.current = next;
    lane.isBack = false;
    this.#prepare(lane);
  }
}
