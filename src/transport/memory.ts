/**
 * The transport without a server: the reference for what Redis does, the embedded default and what
 * users' own tests run on. Held to the same contract as Redis by test/contract.
 */
import { BrokerClosedError } from '../errors.ts';
import type { Target } from './address.ts';
import { Mailbox } from './mailbox.ts';
import { MemoryHub } from './memory-hub.ts';
import { MemoryListSource } from './memory-list.ts';
import { MemoryStreamSource } from './memory-stream.ts';
import { Subscriptions } from './subscriptions.ts';
import type { Listener, Report, Source, SourceOptions, Transport } from './transport.ts';

/** Receives what is published to a channel: the frame and the concrete channel. */
type Sink = (frame: Buffer, channel: string) => void;

export class MemoryTransport implements Transport {
  readonly countsReceivers = true;
  /** @internal for tests: what a second client would see. */
  readonly hub: MemoryHub;
  readonly #channels = new Subscriptions<Sink>();
  readonly #patterns = new Subscriptions<Sink>();
  #open = false;

  /** Transports of one name in one process share their data, for as long as one of them is open. */
  constructor(name: string) {
    this.hub = MemoryHub.named(name);
  }

  connect(): Promise<void> {
    if (!this.#open) this.hub.attach();
    this.#open = true;
    return Promise.resolve();
  }

  // Async, so that a mistake (a list that is a stream) rejects as it does with a server.
  async send(to: Target, frame: Uint8Array): Promise<number | string> {
    this.#mustBeOpen();
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    if (to.kind === 'channel') return this.hub.publish(to.name, bytes);
    if (to.kind === 'list') return this.hub.list(to.name).push(bytes);
    return this.hub.stream(to.name).add(bytes, to.maxlen);
  }

  async sendBatch(
    to: Target,
    frames: readonly Uint8Array[],
  ): Promise<number | number[] | string[]> {
    const replies = await Promise.all(frames.map((frame) => this.send(to, frame)));
    if (to.kind === 'list') return replies.at(-1) as number;
    return replies as number[] | string[];
  }

  async open(options: SourceOptions, report: Report): Promise<Source> {
    this.#mustBeOpen();
    if (options.kind === 'list') return new MemoryListSource(this.hub.list(options.name), options.name);
    if (options.kind === 'stream') return new MemoryStreamSource(this.hub, options);
    const sink: Sink = (frame, channel) => mailbox.push(frame, channel);
    const { name, isPattern } = options;
    const mailbox = new Mailbox(report, async () => this.#unsubscribe(name, isPattern, sink));
    this.#subscribe(name, isPattern, sink);
    return mailbox;
  }

  async listen(channel: string, onFrame: (frame: Buffer) => void): Promise<Listener> {
    this.#mustBeOpen();
    // Like a socket, the hub hands over in a later tick: a caller never runs inside its own send.
    const sink: Sink = (frame) => process.nextTick(onFrame, frame);
    this.#subscribe(channel, false, sink);
    return {
      ready: () => undefined,
      close: async () => this.#unsubscribe(channel, false, sink),
    };
  }

  async flush(): Promise<void> {}

  async ping(): Promise<void> {
    this.#mustBeOpen();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const name of this.#channels.names()) this.hub.unsubscribe(this.#channels, name, false);
    for (const name of this.#patterns.names()) this.hub.unsubscribe(this.#patterns, name, true);
    this.hub.detach();
  }

  #subscribe(name: string, isPattern: boolean, sink: Sink): void {
    const subscriptions = isPattern ? this.#patterns : this.#channels;
    if (subscriptions.add(name, sink)) this.hub.subscribe(subscriptions, name, isPattern);
  }

  #unsubscribe(name: string, isPattern: boolean, sink: Sink): void {
    const subscriptions = isPattern ? this.#patterns : this.#channels;
    if (subscriptions.remove(name, sink)) this.hub.unsubscribe(subscriptions, name, isPattern);
  }

  #mustBeOpen(): void {
    if (!this.#open) throw new BrokerClosedError();
  }
}
