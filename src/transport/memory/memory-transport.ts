/**
 * The transport without a server: the reference for what Redis does, the embedded default, and what
 * users' own tests run on. test/contract holds it to the same contract as Redis.
 */
import { refusedByType } from '../all-or-none.ts';
import { BrokerClosedError } from '../../errors.ts';
import type { Target } from '../address.ts';
import type { Once } from '../marks.ts';
import type { Lanes } from '../lanes.ts';
import { Listeners } from '../listeners.ts';
import { PushSource } from '../push-source.ts';
import { missingStream } from '../source.ts';
import type {
  ChannelSourceOptions,
  Delivery,
  Listener,
  ListSourceOptions,
  Report,
  Source,
  SourceOptions,
  StreamSourceOptions,
} from '../source.ts';
import type { GroupState, GroupSummary, ReadGroup } from '../store.ts';
import { ServerClock } from '../server-clock.ts';
import type { Timed, TimedOptions } from '../timed.ts';
import { TIMINGS, type Timings } from '../timings.ts';
import {
  sendOutbound,
  type Outbound,
  type Receipt,
  type StreamFields,
  type Transport,
  type Wish,
} from '../transport.ts';
import { Outbox } from '../outbox.ts';
import type { Refused } from './delayed.ts';
import type { Gate } from './gate.ts';
import { HeldMarks } from './held-marks.ts';
import { MemoryListSource } from './list.ts';
import { MemoryReliableListSource } from './reliable-list.ts';
import { copyOf } from './stream.ts';
import { MemoryServer, type Manner } from './server.ts';
import { MemoryStreamSource } from './stream-source.ts';

/** Receives what is published to a channel: the frame and the concrete channel. */
type Sink = (frame: Buffer, channel: string) => void;

export interface MemoryOptions extends TimedOptions {
  readonly timings?: Timings;
  readonly gate?: Gate;
  /** Takes the trouble with delayed messages. */
  readonly report?: Report;
}

export class MemoryTransport implements Transport {
  readonly countsReceivers = true;
  readonly shardsAnswers = false;
  readonly timed: Timed = {
    clock: new ServerClock(),
    sendLater: (to, frame, later, once) =>
      this.#run(({ delayed, marks }) =>
        once !== undefined && marks.waits(to, once)
          ? later.handle
          : delayed.keep(to, Buffer.from(frame), later),
      ),
    cancel: (to, handle) =>
      this.#run(({ delayed, marks }) => {
        const isRemoved = delayed.cancel(to, handle);
        if (isRemoved) marks.forget(to, handle);
        return isRemoved;
      }),
    takeTurn: (to, turn) => this.#run((server) => server.turns.take(to, turn)),
    sendTurn: (to, frame, turn) =>
      this.#run((server) => server.turns.send(to, turn, () => server.send(to, Buffer.from(frame)))),
    markTurns: (to, id, mark) => this.#run((server) => server.turns.mark(to, id, mark)),
    delayed: (to, skip, max) => this.#run((server) => server.delayed.list(to, skip, max)),
  };
  readonly #refused: Refused;
  readonly marks = new HeldMarks((command) => this.#run((server) => command(server.marks)));
  readonly state = {
    parked: (list: string): Promise<number> => this.#run((server) => server.list(list).parked),
    isFull: async (): Promise<boolean> => false,
  };
  readonly #name: string;
  readonly #timings: Timings;
  readonly #gate: Gate | undefined;
  #server: MemoryServer | undefined;
  readonly #channels = new Listeners<Sink>();
  readonly #patterns = new Listeners<Sink>();
  readonly #sharded = new Listeners<Sink>();
  readonly #outbox = new Outbox();
  /** Those that hold something for as long as the connection stands. */
  readonly #sources = new Set<MemoryReliableListSource | MemoryStreamSource>();

  /** Transports of one name in one process share their data, for as long as one of them is open. */
  constructor(name: string, { timings = TIMINGS, gate, report, onRefused }: MemoryOptions = {}) {
    this.#name = name;
    this.#timings = timings;
    this.#gate = gate;
    this.#refused = (problem, error) => {
      onRefused?.(1);
      report?.(problem, error);
    };
  }

  get downFor(): number {
    return this.#gate?.downFor ?? 0;
  }

  onConnection(listener: (state: 'up' | 'down') => void): void {
    this.#gate?.add({ cut: () => listener('down'), restore: () => listener('up') });
  }

  connect(): Promise<void> {
    this.#server ??= MemoryServer.attach(this.#name);
    this.#server.delayed.refused.add(this.#refused);
    return Promise.resolve();
  }

  /** What a server would hold. Throws `BrokerClosedError` unless connected. @internal */
  get server(): MemoryServer {
    if (this.#server === undefined) throw new BrokerClosedError();
    return this.#server;
  }

  send(to: Target, frame: Uint8Array | StreamFields): Promise<number | string> {
    return this.#whenUp(() => this.#sendNow(to, frame));
  }

  // Async, so that a mistake (a list that is a stream) rejects as it does with a server.
  async #sendNow(to: Target, frame: Uint8Array | StreamFields): Promise<number | string> {
    if (!(frame instanceof Uint8Array))
      return this.server.stream(to.name).add(frame.map((part) => Buffer.from(part)));
    // A copy, as over a network: the sender may keep the frame, to send it again.
    return this.server.send(to, Buffer.from(frame));
  }

  sendOnce(to: Target, frame: Uint8Array, once: Once, wish?: Wish): Promise<string> {
    const run = async (): Promise<string> => {
      const { server } = this;
      return server.marks.sendOnce(to, once, () => server.send(to, Buffer.from(frame)));
    };
    return this.#whenUp(run, wish);
  }

  post(to: Target, frame: Uint8Array, receipt: Receipt): void {
    this.#whenUp(() => this.#sendNow(to, frame), receipt).then(
      (reply) => receipt.sent(reply),
      (error: unknown) => receipt.refused(error),
    );
  }

  #whenUp<T>(run: () => Promise<T>, wish: Wish = {}): Promise<T> {
    const closed = this.#gate?.passed();
    if (closed === undefined && !this.#outbox.isHolding) return run();
    return new Promise((sent, refused) => {
      const send = (): void => void run().then(sent, refused);
      this.#outbox.add({ wish, refused, count: 1, send }, () => closed ?? Promise.resolve());
    });
  }

  async sendBatch(
    to: Target,
    frames: readonly Uint8Array[],
  ): Promise<number | number[] | string[]> {
    const replies = await Promise.all(frames.map((frame) => this.send(to, frame)));
    if (to.kind === 'list') return replies.at(-1) as number;
    return replies as number[] | string[];
  }

  // All are carried out in one tick: no other command runs between them, transaction or not.
  async sendAll(
    outbound: readonly Outbound[],
    transaction: boolean,
  ): Promise<PromiseSettledResult<number | string>[]> {
    if (transaction) {
      // As on Redis, it is asked for first: what is sent at the same moment comes before the transaction.
      const refused = await refusedByType(outbound, (names) =>
        this.#run((server) => names.map((name) => server.typeOf(name))),
      );
      if (refused !== undefined) return refused;
    }
    return Promise.allSettled(outbound.map((one) => sendOutbound(this, one)));
  }

  async open(options: SourceOptions, report: Report, lanes?: Lanes): Promise<Source> {
    const source = await this.#run((server) => {
      if (options.kind === 'list') return this.#openList(server, options, lanes);
      if (options.kind === 'stream') return this.#openStream(server, options, report, lanes);
      return this.#openChannel(options, report, lanes);
    });
    return this.#gate?.guard(source) ?? source;
  }

  listen(
    channel: string,
    onFrame: (frame: Buffer) => void,
    onRestored: () => void,
  ): Promise<Listener> {
    // Like a socket, the server hands over in a later tick: a caller never runs inside its own send.
    const sink: Sink = (frame) => process.nextTick(onFrame, frame);
    return this.#run(() => {
      const close = this.#subscribe(channel, 'plain', sink, onRestored);
      return { ready: () => this.#gate?.passed(), close: async () => close() };
    });
  }

  onChannelsRestored(restored: () => void): () => void {
    return this.#gate?.add({ cut: () => {}, restore: restored }) ?? (() => {});
  }

  peek(from: Target, after: string | undefined, max: number): Promise<Delivery[]> {
    const { kind, name } = from;
    return this.#run((server) => {
      if (kind === 'stream') {
        const entries = server.stream(name).after(after ?? '0', max);
        return entries.map(({ id, frame }) => ({ frame: copyOf(frame), name, id, count: 1 }));
      }
      const first = after === undefined ? 0 : Number(after) + 1;
      const frames = server.list(name).items.slice(first, first + max);
      return frames.map((frame, i) => ({
        frame: Buffer.from(frame),
        name,
        id: String(first + i),
        count: 1,
      }));
    });
  }

  remove({ kind, name }: Target, { id, frame }: Delivery): Promise<boolean> {
    return this.#run((server) =>
      kind === 'stream'
        ? server.stream(name).delete(id as string)
        : server.list(name).remove(frame as Buffer),
    );
  }

  count({ kind, name }: Target): Promise<number> {
    return this.#run((server) =>
      kind === 'stream' ? server.stream(name).length : server.list(name).items.length,
    );
  }

  keep(name: string, frame: Uint8Array, life: number): Promise<void> {
    return this.#run((server) => server.keep(name, Buffer.from(frame), life));
  }

  collect(name: string): Promise<Buffer[]> {
    return this.#run((server) => server.collect(name));
  }

  hasGroups(stream: string): Promise<boolean> {
    return this.#run((server) => server.stream(stream).groups.size > 0);
  }

  groupState(of: ReadGroup): Promise<GroupState> {
    return this.#run((server) => server.stream(of.name).stateOf(of));
  }

  groups(stream: string): Promise<GroupSummary[]> {
    return this.#run((server) => server.stream(stream).summaries());
  }

  seekGroup(stream: string, group: string, id: string): Promise<boolean> {
    return this.#run((server) => server.stream(stream).seek(group, id));
  }

  removeGroup(stream: string, group: string): Promise<boolean> {
    return this.#run((server) => server.stream(stream).groups.delete(group));
  }

  // Nothing here can be refused once it is open.
  adviceOn(): undefined {}

  async flush(): Promise<void> {
    await this.#gate?.passed();
  }

  ping(): Promise<void> {
    return this.#run(() => undefined);
  }

  async close(): Promise<void> {
    if (this.#server === undefined) return;
    for (const source of this.#sources) source.die();
    this.marks.close(this.server.marks);
    for (const manner of ['plain', 'pattern', 'sharded'] as const) {
      const listeners = this.#of(manner);
      for (const name of listeners.names()) this.server.unsubscribe(listeners, name, manner);
    }
    this.server.delayed.refused.delete(this.#refused);
    this.server.detach();
    this.#server = undefined;
  }

  /** Runs a command once the connection stands; what it throws is a rejection, as with a server. */
  async #run<T>(command: (server: MemoryServer) => T): Promise<T> {
    const closed = this.#gate?.passed();
    if (closed !== undefined) await closed;
    return command(this.server);
  }

  #openList(server: MemoryServer, options: ListSourceOptions, lanes?: Lanes): Source {
    const list = server.list(options.name);
    if (!options.reliable) return new MemoryListSource(list, options, lanes);
    const source = new MemoryReliableListSource(list, options, this.#timings, server.marks, lanes);
    this.#track(source);
    return source;
  }

  #track(source: MemoryReliableListSource | MemoryStreamSource): void {
    for (const other of this.#sources) if (other.isOver) this.#sources.delete(other);
    this.#sources.add(source);
  }

  #openStream(
    server: MemoryServer,
    options: StreamSourceOptions,
    report: Report,
    lanes?: Lanes,
  ): Source {
    if (!options.declare && !server.has(options.name)) throw missingStream(options.name);
    const source = new MemoryStreamSource(
      server.stream(options.name),
      options,
      report,
      server.marks,
      lanes,
    );
    if (options.group !== undefined) this.#track(source);
    return source;
  }

  #openChannel(
    { name, isPattern, sharded }: ChannelSourceOptions,
    report: Report,
    lanes?: Lanes,
  ): Source {
    const manner = sharded === true ? 'sharded' : isPattern ? 'pattern' : 'plain';
    const sink: Sink = (frame, channel) => source.push(frame, channel);
    const close = this.#subscribe(name, manner, sink);
    const source = new PushSource(report, async () => close(), undefined, lanes);
    return source;
  }

  /** Subscribes until the result is called; `onRestored` is called when a broken connection is back. */
  #subscribe(name: string, manner: Manner, sink: Sink, onRestored?: () => void): () => void {
    const listeners = this.#of(manner);
    const start = (): void => {
      if (listeners.add(name, sink)) this.server.subscribe(listeners, name, manner);
    };
    const end = (): void => {
      if (listeners.remove(name, sink)) this.#server?.unsubscribe(listeners, name, manner);
    };
    start();
    const forget = this.#gate?.add({
      cut: end,
      restore: () => {
        start();
        onRestored?.();
      },
    });
    return () => {
      forget?.();
      end();
    };
  }

  #of(manner: Manner): Listeners<Sink> {
    if (manner === 'plain') return this.#channels;
    return manner === 'pattern' ? this.#patterns : this.#sharded;
  }
}
