import { clearTimer, setTimer } from '../../internal/clock.ts';
import { globMatcher } from '../glob.ts';
import type { Target } from '../address.ts';
import { TIMINGS } from '../timings.ts';
import { MemoryDelayed } from './delayed.ts';
import { MemoryList } from './list.ts';
import { MemoryMarks } from './marks.ts';
import { MemoryStream } from './stream.ts';
import { MemoryTurns } from './turns.ts';
import type { Listeners } from '../listeners.ts';

type Sinks = Listeners<(frame: Buffer, channel: string) => void>;

/** The kind of a subscription. The names of sharded channels are apart from those of the others. */
export type Manner = 'plain' | 'pattern' | 'sharded';

/** The data that a server would hold. */
export class MemoryServer {
  static readonly #servers = new Map<string, MemoryServer>();

  /** The server of that name; it exists while something is attached to it. */
  static attach(name: string): MemoryServer {
    const server = MemoryServer.#servers.get(name) ?? new MemoryServer(name);
    MemoryServer.#servers.set(name, server);
    server.#attached++;
    return server;
  }

  /** Frames that are not due yet. */
  readonly delayed = new MemoryDelayed(
    (to, frame, handle) => this.marks.begin(to, handle, this.send(to, frame)),
    TIMINGS.refusedPause,
  );
  readonly #name: string;
  readonly #lists = new Map<string, MemoryList>();
  readonly #streams = new Map<string, MemoryStream>();
  readonly marks = new MemoryMarks();
  readonly turns = new MemoryTurns();
  readonly #channels = new Map<string, Set<Sinks>>();
  readonly #sharded = new Map<string, Set<Sinks>>();
  readonly #patterns = new Map<
    string,
    { matches: (name: string) => boolean; connections: Set<Sinks> }
  >();
  /** Timers that delete what is kept, by name. */
  readonly #lives = new Map<string, NodeJS.Timeout>();
  #attached = 0;

  private constructor(name: string) {
    this.#name = name;
  }

  detach(): void {
    if (--this.#attached > 0) return;
    MemoryServer.#servers.delete(this.#name);
    this.delayed.close();
  }

  /** PUBLISH, SPUBLISH, RPUSH or XADD. */
  send(to: Target, frame: Buffer): number | string {
    if (to.kind === 'channel') return this.publish(to.name, frame, to.sharded);
    if (to.kind === 'list') return this.list(to.name).push(frame);
    return this.stream(to.name).add(frame, to.maxlen);
  }

  list(key: string): MemoryList {
    if (this.#streams.get(key)?.exists === true) throw wrongType();
    return valueOf(this.#lists, key, () => new MemoryList());
  }

  stream(key: string): MemoryStream {
    // An empty list is no key, though readers may wait for it.
    if ((this.#lists.get(key)?.items.length ?? 0) > 0) throw wrongType();
    return valueOf(this.#streams, key, () => new MemoryStream());
  }

  has(key: string): boolean {
    return this.typeOf(key) !== 'none';
  }

  /** As TYPE. */
  typeOf(key: string): 'list' | 'stream' | 'none' {
    if (this.#streams.get(key)?.exists === true) return 'stream';
    return (this.#lists.get(key)?.items.length ?? 0) > 0 ? 'list' : 'none';
  }

  /** As RPUSH and PEXPIRE: everything kept under a name lives as long as what was kept last. */
  keep(name: string, frame: Buffer, life: number): void {
    this.list(name).push(frame);
    clearTimer(this.#lives.get(name));
    this.#lives.set(name, setTimer(() => this.delete(name), life).unref());
  }

  collect(name: string): Buffer[] {
    const frames = this.has(name) ? this.list(name).take(Infinity) : [];
    this.delete(name);
    return frames;
  }

  delete(key: string): void {
    clearTimer(this.#lives.get(key));
    this.#lives.delete(key);
    this.#lists.delete(key);
    this.#streams.delete(key);
  }

  /** Hands a frame to all who listen; returns the number of connections, as PUBLISH does. */
  publish(channel: string, frame: Buffer, sharded = false): number {
    let receivers = 0;
    let isTaken = false;
    // Each gets bytes of its own, as over a network: a handler may change them.
    const hand = (sinks: readonly ((frame: Buffer, channel: string) => void)[] = []): void => {
      for (const sink of sinks) {
        sink(isTaken ? Buffer.from(frame) : frame, channel);
        isTaken = true;
      }
    };
    const channels = sharded ? this.#sharded : this.#channels;
    for (const connection of channels.get(channel) ?? []) {
      receivers++;
      hand(connection.get(channel));
    }
    for (const [pattern, { matches, connections }] of sharded ? [] : this.#patterns) {
      if (!matches(channel)) continue;
      for (const connection of connections) {
        receivers++;
        hand(connection.get(pattern));
      }
    }
    return receivers;
  }

  subscribe(connection: Sinks, name: string, manner: Manner): void {
    if (manner === 'pattern') {
      let pattern = this.#patterns.get(name);
      if (pattern === undefined) {
        pattern = { matches: globMatcher(name), connections: new Set() };
        this.#patterns.set(name, pattern);
      }
      pattern.connections.add(connection);
    } else {
      const channels = manner === 'sharded' ? this.#sharded : this.#channels;
      const connections = channels.get(name) ?? new Set();
      channels.set(name, connections.add(connection));
    }
  }

  unsubscribe(connection: Sinks, name: string, manner: Manner): void {
    if (manner === 'pattern') {
      const connections = this.#patterns.get(name)?.connections;
      connections?.delete(connection);
      if (connections?.size === 0) this.#patterns.delete(name);
      return;
    }
    const channels = manner === 'sharded' ? this.#sharded : this.#channels;
    const connections = channels.get(name);
    connections?.delete(connection);
    if (connections?.size === 0) channels.delete(name);
  }
}

function wrongType(): Error {
  return new Error('WRONGTYPE Operation against a key holding the wrong kind of value');
}

function valueOf<T>(values: Map<string, T>, key: string, make: () => T): T {
  const value = values.get(key) ?? make();
  values.set(key, value);
  return value;
}
