/**
 * The transport without a server: the reference for what Redis does, the embedded default and what
 * users' own tests run on. Held to the same contract as Redis by test/contract.
 */
import { BrokerClosedError } from '../../errors.ts';
import type { Target } from '../address.ts';
import { TIMINGS, type Timings } from '../timings.ts';
import { PushSource } from '../push-source.ts';
import { MemoryServer, type Manner } from './server.ts';
import { MemoryListSource } from './list.ts';
import { MemoryReliableListSource } from './reliable-list.ts';
import { MemoryStreamSource } from './stream-source.ts';
import { Listeners } from '../listeners.ts';
import { missingStream } from '../source.ts';
import type {
  Delivery,
  ListSourceOptions,
  Listener,
  Report,
  Source,
  SourceOptions,
} from '../source.ts';
import type { GroupState } from '../store.ts';
import type { Outbound, Receipt, StreamFields, Transport } from '../transport.ts';

/** Receives what is published to a channel: the frame and the concrete channel. */
type Sink = (frame: Buffer, channel: string) => void;

export class MemoryTransport implements Transport {
  readonly countsReceivers = true;
  readonly downFor = 0;
  readonly #name: string;
  readonly #timings: Timings;
  #server: MemoryServer | undefined;
  readonly #channels = new Listeners<Sink>();
  readonly #patterns = new Listeners<Sink>();
  readonly #sharded = new Listeners<Sink>();
  readonly #reliable = new Set<MemoryReliableListSource>();

  /** Transports of one name in one process share their data, for as long as one of them is open. */
  constructor(name: string, timings: Timings = TIMINGS) {
    this.#name = name;
    this.#timings = timings;
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
    if (!(frame instanceof Uint8Array))
      return this.server.stream(to.name).add(frame.map((part) => Buffer.from(part)));
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    if (to.kind === 'channel') return this.server.publish(to.name, bytes, to.sharded);
    if (to.kind === 'list') return this.server.list(to.name).push(bytes);
    return this.server.stream(to.name).add(bytes, to.maxlen);
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

  // All are carried out in this tick: nothing comes between them, transaction or not.
  sendAll(outbound: readonly Outbound[]): Promise<PromiseSettledResult<number | string>[]> {
    return Promise.allSettled(outbound.map(({ to, frame }) => this.send(to, frame)));
  }

  async open(options: SourceOptions, report: Report): Promise<Source> {
    if (options.kind === 'list') return this.#openList(options);
    if (options.kind === 'stream') {
      if (!options.declare && !this.server.has(options.name)) throw missingStream(options.name);
      return new MemoryStreamSource(this.server.stream(options.name), options);
    }
    const sink: Sink = (frame, channel) => source.push(frame, channel);
    const { name, isPattern, sharded } = options;
    const manner = sharded === true ? 'sharded' : isPattern ? 'pattern' : 'plain';
    const source = new PushSource(report, async () => this.#unsubscribe(name, manner, sink));
    this.#subscribe(name, manner, sink);
    return source;
  }

  async listen(channel: string, onFrame: (frame: Buffer) => void): Promise<Listener> {
    // Like a socket, the server hands over in a later tick: a caller never runs inside its own send.
    const sink: Sink = (frame) => process.nextTick(onFrame, frame);
    this.#subscribe(channel, 'plain', sink);
    return {
      ready: () => undefined,
      close: async () => this.#unsubscribe(channel, 'plain', sink),
    };
  }

  async peek(from: Target, after: string | undefined, max: number): Promise<Delivery[]> {
    const { name } = from;
    if (from.kind === 'stream') {
      const entries = this.server.stream(name).after(after ?? '0', max);
      return entries.map(({ id, frame }) => ({ frame, name, id, count: 1 }));
    }
    const first = after === undefined ? 0 : Number(after) + 1;
    const frames = this.server.list(name).items.slice(first, first + max);
    return frames.map((frame, i) => ({ frame, name, id: String(first + i), count: 1 }));
  }

  async remove(from: Target, { id, frame }: Delivery): Promise<boolean> {
    if (from.kind === 'stream') return this.server.stream(from.name).delete(id as string);
    return this.server.list(from.name).remove(frame as Buffer);
  }

  async count({ kind, name }: Target): Promise<number> {
    return kind === 'stream'
      ? this.server.stream(name).length
      : this.server.list(name).items.length;
  }

  async keep(name: string, frame: Uint8Array, life: number): Promise<void> {
    this.server.keep(name, Buffer.from(frame), life);
  }

  async collect(name: string): Promise<Buffer[]> {
    return this.server.collect(name);
  }

  async hasGroups(stream: string): Promise<boolean> {
    return this.server.stream(stream).groups.size > 0;
  }

  async groupState(stream: string, name: string): Promise<GroupState> {
    const { groups } = this.server.stream(stream);
    const group = groups.get(name);
    if (group === undefined) throw new Error(`NOGROUP No such consumer group '${name}'`);
    const lag = this.server.stream(stream).after(group.lastId, Infinity).length;
    return { pending: group.pending.size, lag, consumers: undefined };
  }

  // Nothing here can be refused once it is open.
  adviceOn(): undefined {}

  async flush(): Promise<void> {}

  async ping(): Promise<void> {
    void this.server;
  }

  async close(): Promise<void> {
    if (this.#server === undefined) return;
    for (const source of this.#reliable) source.die();
    for (const manner of ['plain', 'pattern', 'sharded'] as const) {
      const subscriptions = this.#of(manner);
      for (const name of subscriptions.names())
        this.server.unsubscribe(subscriptions, name, manner);
    }
    this.server.detach();
    this.#server = undefined;
  }

  #openList({ name, reliable }: ListSourceOptions): Source {
    const list = this.server.list(name);
    if (!reliable) return new MemoryListSource(list, name);
    for (const source of this.#reliable) if (source.isOver) this.#reliable.delete(source);
    const source = new MemoryReliableListSource(list, name, this.#timings);
    this.#reliable.add(source);
    return source;
  }

  #subscribe(name: string, manner: Manner, sink: Sink): void {
    const subscriptions = this.#of(manner);
    if (subscriptions.add(name, sink)) this.server.subscribe(subscriptions, name, manner);
  }

  #unsubscribe(name: string, manner: Manner, sink: Sink): void {
    const subscriptions = this.#of(manner);
    if (subscriptions.remove(name, sink)) this.#server?.unsubscribe(subscriptions, name, manner);
  }

  #of(manner: Manner): Listeners<Sink> {
    if (manner === 'plain') return this.#channels;
    return manner === 'pattern' ? this.#patterns : this.#sharded;
  }
}
