/**
 * The transport without a server: the reference for what Redis does, the embedded default, and what
 * users' own tests run on. test/contract holds it to the same contract as Redis.
 */
import { BrokerClosedError } from '../../errors.ts';
import type { Target } from '../address.ts';
import type { Once } from '../marks.ts';
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
import type { GroupState } from '../store.ts';
import { TIMINGS, type Timings } from '../timings.ts';
import type { Outbound, Receipt, StreamFields, Transport } from '../transport.ts';
import type { Gate } from './gate.ts';
import { MemoryListSource } from './list.ts';
import { MemoryReliableListSource } from './reliable-list.ts';
import { copyOf } from './stream.ts';
import { MemoryServer, type Manner } from './server.ts';
import { MemoryStreamSource } from './stream-source.ts';

/** Receives what is published to a channel: the frame and the concrete channel. */
type Sink = (frame: Buffer, channel: string) => void;

export class MemoryTransport implements Transport {
  readonly countsReceivers = true;
  readonly #name: string;
  readonly #timings: Timings;
  readonly #gate: Gate | undefined;
  #server: MemoryServer | undefined;
  readonly #channels = new Listeners<Sink>();
  readonly #patterns = new Listeners<Sink>();
  readonly #sharded = new Listeners<Sink>();
  /** Those that hold something for as long as the connection stands. */
  readonly #sources = new Set<MemoryReliableListSource | MemoryStreamSource>();

  /** Transports of one name in one process share their data, for as long as one of them is open. */
  constructor(name: string, { timings = TIMINGS, gate }: { timings?: Timings; gate?: Gate } = {}) {
    this.#name = name;
    this.#timings = timings;
    this.#gate = gate;
  }

  get downFor(): number {
    return this.#gate?.downFor ?? 0;
  }

  onConnection(listener: (state: 'up' | 'down') => void): void {
    this.#gate?.add({ cut: () => listener('down'), restore: () => listener('up') });
  }

  connect(): Promise<void> {
    this.#server ??= MemoryServer.attach(this.#name);
    return Promise.resolve();
  }

  /** What a server would hold. Throws `BrokerClosedError` unless connected. @internal */
  get server(): MemoryServer {
    if (this.#server === undefined) throw new BrokerClosedError();
    return this.#server;
  }

  // Async, so that a mistake (a list that is a stream) rejects as it does with a server.
  async send(to: Target, frame: Uint8Array | StreamFields): Promise<number | string> {
    const closed = this.#gate?.passed();
    if (closed !== undefined) await closed;
    if (!(frame instanceof Uint8Array))
      return this.server.stream(to.name).add(frame.map((part) => Buffer.from(part)));
    // A copy, as over a network: the sender may keep the frame, to send it again.
    const bytes = Buffer.from(frame);
    if (to.kind === 'channel') return this.server.publish(to.name, bytes, to.sharded);
    if (to.kind === 'list') return this.server.list(to.name).push(bytes);
    return this.server.stream(to.name).add(bytes, to.maxlen);
  }

  sendOnce(to: Target, frame: Uint8Array, once: Once): Promise<string> {
    const { kind, name, maxlen } = to;
    return this.#run((server) => {
      const bytes = Buffer.from(frame);
      return server.marks.sendOnce(to, once, () =>
        kind === 'list' ? server.list(name).push(bytes) : server.stream(name).add(bytes, maxlen),
      );
    });
  }

  post(to: Target, frame: Uint8Array, receipt: Receipt): void {
    this.send(to, frame).then(
      (reply) => receipt.sent(reply),
      (error: unknown) => receipt.refused(error),
    );
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
  sendAll(outbound: readonly Outbound[]): Promise<PromiseSettledResult<number | string>[]> {
    return Promise.allSettled(
      outbound.map(({ to, frame, once }) =>
        once === undefined ? this.send(to, frame) : this.sendOnce(to, frame, once),
      ),
    );
  }

  async open(options: SourceOptions, report: Report): Promise<Source> {
    const source = await this.#run((server) => {
      if (options.kind === 'list') return this.#openList(server, options);
      if (options.kind === 'stream') return this.#openStream(server, options, report);
      return this.#openChannel(options, report);
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

  groupState(stream: string, name: string): Promise<GroupState> {
    return this.#run((server) => {
      const group = server.stream(stream).groups.get(name);
      if (group === undefined) throw new Error(`NOGROUP No such consumer group '${name}'`);
      const lag = server.stream(stream).after(group.lastId, Infinity).length;
      return { pending: group.pending.size, lag, consumers: undefined };
    });
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
    for (const manner of ['plain', 'pattern', 'sharded'] as const) {
      const listeners = this.#of(manner);
      for (const name of listeners.names()) this.server.unsubscribe(listeners, name, manner);
    }
    this.server.detach();
    this.#server = undefined;
  }

  /** Runs a command once the connection stands; what it throws is a rejection, as with a server. */
  async #run<T>(command: (server: MemoryServer) => T): Promise<T> {
    const closed = this.#gate?.passed();
    if (closed !== undefined) await closed;
    return command(this.server);
  }

  #openList(server: MemoryServer, { name, reliable }: ListSourceOptions): Source {
    const list = server.list(name);
    if (!reliable) return new MemoryListSource(list, name);
    const source = new MemoryReliableListSource(list, name, this.#timings);
    this.#track(source);
    return source;
  }

  #track(source: MemoryReliableListSource | MemoryStreamSource): void {
    for (const other of this.#sources) if (other.isOver) this.#sources.delete(other);
    this.#sources.add(source);
  }

  #openStream(server: MemoryServer, options: StreamSourceOptions, report: Report): Source {
    if (!options.declare && !server.has(options.name)) throw missingStream(options.name);
    const source = new MemoryStreamSource(server.stream(options.name), options, report);
    if (options.group !== undefined) this.#track(source);
    return source;
  }

  #openChannel({ name, isPattern, sharded }: ChannelSourceOptions, report: Report): Source {
    const manner = sharded === true ? 'sharded' : isPattern ? 'pattern' : 'plain';
    const sink: Sink = (frame, channel) => source.push(frame, channel);
    const close = this.#subscribe(name, manner, sink);
    const source = new PushSource(report, async () => close());
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
