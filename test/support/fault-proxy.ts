// A TCP proxy in front of a server, which causes the faults that networks have.
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Finished } from './redis.ts';

/** One direction of a connection: delivers chunks in order, each after its delay. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delay: () => number;
  readonly #perByte: () => number;
  /** With so many that wait it takes no more. */
  readonly #room: () => number;
  readonly #queue: { chunk: Buffer; due: number }[] = [];
  /** Bytes that wait here. */
  waiting = 0;
  carried = 0;
  /** Bytes that it may still deliver. */
  #credit = Infinity;
  /** When it last delivered something. */
  movedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #isEnded = false;
  isSwallowing = false;

  constructor(
    from: Socket,
    to: Socket,
    { delay, perByte, room }: { delay(): number; perByte(): number; room(): number },
  ) {
    this.#from = from;
    this.#to = to;
    this.#delay = delay;
    this.#perByte = perByte;
    this.#room = room;
    from.on('data', (chunk: Buffer) => this.#carry(chunk));
    from.on('close', () => {
      this.#isEnded = true;
      this.#deliver();
    });
  }

  swallow(): void {
    this.isSwallowing = true;
    this.drop();
  }

  hold(credit: number): void {
    this.#credit = credit;
  }

  pass(bytes: number): void {
    this.#credit += bytes;
    this.#deliver();
  }

  drop(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.waiting = 0;
    this.#from.resume();
  }

  #carry(chunk: Buffer): void {
    if (this.isSwallowing) return;
    const wait = this.#delay() + chunk.length * this.#perByte();
    const now = performance.now();
    if (wait === 0 && this.#queue.length === 0 && this.#credit === Infinity) {
      this.#to.write(chunk);
      this.movedAt = now;
      return;
    }
    const last = Math.max(now, this.#queue.at(-1)?.due ?? 0);
    const slow = chunk.length * this.#perByte();
    const due = Math.max(now + wait, last + slow);
    this.#queue.push({ chunk, due });
    this.waiting += chunk.length;
    if (this.waiting >= this.#room()) this.#from.pause();
    if (this.#credit < Infinity) this.#deliver();
    else if (this.#queue.length === 1) this.#arm();
  }

  #arm(): void {
    const head = this.#queue[0];
    if (head === undefined || this.#credit <= 0) return;
    this.#timer = setTimeout(() => this.#deliver(), Math.max(0, head.due - performance.now()));
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    while (this.#queue[0] !== undefined && this.#queue[0].due <= now && this.#credit > 0) {
      const { chunk } = this.#queue.shift() as { chunk: Buffer };
      this.#to.write(chunk);
      this.waiting -= chunk.length;
      this.#credit -= chunk.length;
      this.carried += chunk.length;
      this.movedAt = now;
    }
    if (this.waiting < this.#room()) this.#from.resume();
    if (this.#queue.length > 0) this.#arm();
    // A half-open connection never delivers its end.
    else if (this.#isEnded && !this.isSwallowing) this.#to.end();
  }
}

interface Link {
  readonly near: Socket;
  readonly far: Socket;
  readonly lanes: readonly Lane[];
}

/** Bytes that a connection needs in each direction until it is ready, and some more. */
const HANDSHAKE = 20_000;

/** Forwards connections to a port; can delay, slow down, cut, refuse and half-open them. */
export class FaultProxy {
  /** The number of connections accepted so far. */
  accepted = 0;
  /** When the last of them was accepted. */
  acceptedAt = 0;
  /** For each connection that another has closed: milliseconds since bytes had moved on it. */
  readonly quietBeforeClose: number[] = [];
  readonly #server: Server;
  readonly #target: number;
  readonly #links = new Set<Link>();
  #min = 0;
  #max = 0;
  #perByte = 0;
  #room = Infinity;
  #isHeld = false;
  #isRefusing = false;

  static async to(port: number, finished: Finished = onTestFinished): Promise<FaultProxy> {
    const proxy = new FaultProxy(port);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    finished(() => proxy.close());
    return proxy;
  }

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((near) => this.#accept(near));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The number of open connections, without half-open ones. */
  get open(): number {
    return [...this.#links].filter(({ lanes }) => !lanes[0]?.isSwallowing).length;
  }

  /** Bytes that wait in the open connections, where they are held or the link is narrow. */
  get waiting(): number {
    return this.#sum(({ waiting }) => waiting);
  }

  /** Bytes that the open connections have carried since then. */
  get carried(): number {
    return this.#sum(({ carried }) => carried);
  }

  /** Delays each chunk by a random time between `min` and `max` milliseconds; the order stays. */
  delay(min: number, max = min): void {
    this.#min = min;
    this.#max = max;
  }

  /**
   * From now on each direction of each connection carries so many bytes a second, and takes no more while
   * `room` bytes are on their way.
   */
  narrow(bytesPerSecond: number, room = 65_536): void {
    this.#perByte = 1_000 / bytesPerSecond;
    this.#room = room;
  }

  /**
   * From now on connections carry nothing but what {@link pass} lets through, and new ones their handshake. What
   * waits in one that its client closes is lost.
   */
  hold(room = 65_536): void {
    this.#room = room;
    this.#isHeld = true;
    for (const { lanes } of this.#links) for (const lane of lanes) lane.hold(0);
  }

  /** Has the connections that are held carry about so many bytes in each direction. */
  pass(bytes: number): void {
    for (const { lanes } of this.#links) for (const lane of lanes) lane.pass(bytes);
  }

  /**
   * Ends all connections, or those whose index (in order of acceptance) is `chosen`; bytes on their
   * way are lost. Accepts new ones.
   */
  cut(chosen: (index: number) => boolean = () => true): void {
    for (const [index, link] of [...this.#links].entries()) if (chosen(index)) this.#destroy(link);
  }

  /** Refuses new connections until {@link heal}. */
  refuse(): void {
    this.#isRefusing = true;
  }

  /** Ends all connections, and refuses new ones until {@link heal}. */
  cutOff(): void {
    this.refuse();
    this.cut();
  }

  /**
   * Drops all further bytes of the open connections, or of those whose index (in order of acceptance)
   * is `chosen`, and does not close them, as when a cable is pulled. Accepts new connections. Returns
   * how many are half-open now because of this call.
   */
  halfOpen(chosen: (index: number) => boolean = () => true): number {
    const links = [...this.#links].filter(({ lanes }) => !lanes[0]?.isSwallowing);
    const affected = links.filter((_, index) => chosen(index));
    for (const { lanes } of affected) for (const lane of lanes) lane.swallow();
    return affected.length;
  }

  /** Accepts new connections again, without delay. Half-open ones stay half-open. */
  heal(): void {
    this.#isRefusing = false;
    this.delay(0);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #sum(of: (lane: Lane) => number): number {
    let sum = 0;
    for (const { lanes } of this.#links) for (const lane of lanes) sum += of(lane);
    return sum;
  }

  #accept(near: Socket): void {
    near.on('error', () => {}); // 'close' follows and is handled
    if (this.#isRefusing) {
      near.destroy();
      return;
    }
    this.accepted++;
    this.acceptedAt = performance.now();
    const far = connect(this.#target, '127.0.0.1');
    far.on('error', () => {});
    near.setNoDelay(true);
    far.setNoDelay(true);
    const delay = (): number => this.#min + Math.random() * (this.#max - this.#min);
    const pace = { delay, perByte: () => this.#perByte, room: () => this.#room };
    const lanes = [new Lane(near, far, pace), new Lane(far, near, pace)];
    if (this.#isHeld) for (const lane of lanes) lane.hold(HANDSHAKE);
    const link = { near, far, lanes };
    this.#links.add(link);
    const closed = (): void => {
      if (near.destroyed && far.destroyed) this.#links.delete(link);
    };
    near.on('close', () => {
      const movedAt = Math.max(...lanes.map((lane) => lane.movedAt));
      if (this.#links.has(link)) this.quietBeforeClose.push(performance.now() - movedAt);
      if (this.#isHeld) this.#destroy(link);
      closed();
    });
    far.on('close', closed);
  }

  #destroy(link: Link): void {
    for (const lane of link.lanes) lane.drop();
    link.near.destroy();
    link.far.destroy();
    this.#links.delete(link);
  }
}
