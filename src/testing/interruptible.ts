import { deferred } from '../internal/deferred.ts';
import type { Target } from '../transport/address.ts';
import { MemoryTransport } from '../transport/memory/memory-transport.ts';
import type {
  Backlog,
  Delivery,
  Listener,
  Report,
  Source,
  SourceOptions,
} from '../transport/source.ts';
import type { GroupState } from '../transport/store.ts';
import type { Outbound, Receipt, StreamFields, Transport } from '../transport/transport.ts';
import type { Link } from './link.ts';

/**
 * The memory transport behind a connection that tests can break. While it is down commands wait, as
 * ioredis's do; channels are not heard, and are subscribed to again when it is back.
 */
export class InterruptibleTransport implements Transport {
  readonly countsReceivers = true;
  readonly #inner: MemoryTransport;
  readonly #link: Link;

  constructor(hub: string, link: Link) {
    this.#inner = new MemoryTransport(hub);
    this.#link = link;
  }

  get downFor(): number {
    return this.#link.downFor;
  }

  connect(): Promise<void> {
    return this.#inner.connect();
  }

  async send(to: Target, frame: Uint8Array | StreamFields): Promise<number | string> {
    await this.#link.up();
    return this.#inner.send(to, frame);
  }

  post(to: Target, frame: Uint8Array, receipt: Receipt): void {
    const up = this.#link.up();
    if (up === undefined) this.#inner.post(to, frame, receipt);
    else void up.then(() => this.#inner.post(to, frame, receipt));
  }

  async sendBatch(
    to: Target,
    frames: readonly Uint8Array[],
  ): Promise<number | number[] | string[]> {
    await this.#link.up();
    return this.#inner.sendBatch(to, frames);
  }

  async sendAll(outbound: readonly Outbound[]): Promise<PromiseSettledResult<number | string>[]> {
    await this.#link.up();
    return this.#inner.sendAll(outbound);
  }

  async open(source: SourceOptions, report: Report): Promise<Source> {
    await this.#link.up();
    const open = (): Promise<Source> => this.#inner.open(source, report);
    return new InterruptibleSource(
      await open(),
      this.#link,
      source.kind === 'channel' ? open : undefined,
    );
  }

  async listen(
    channel: string,
    onFrame: (frame: Buffer) => void,
    onRestored: () => void,
  ): Promise<Listener> {
    await this.#link.up();
    let listener = await this.#inner.listen(channel, onFrame);
    const forget = this.#link.add({
      cut: () => void listener.close(),
      restore: async () => {
        listener = await this.#inner.listen(channel, onFrame);
        onRestored();
      },
    });
    return {
      ready: () => this.#link.up(),
      close: async () => {
        forget();
        await listener.close();
      },
    };
  }

  async peek(from: Target, after: string | undefined, max: number): Promise<Delivery[]> {
    await this.#link.up();
    return this.#inner.peek(from, after, max);
  }

  async remove(from: Target, delivery: Delivery): Promise<boolean> {
    await this.#link.up();
    return this.#inner.remove(from, delivery);
  }

  async count(from: Target): Promise<number> {
    await this.#link.up();
    return this.#inner.count(from);
  }

  async keep(name: string, frame: Uint8Array, life: number): Promise<void> {
    await this.#link.up();
    return this.#inner.keep(name, frame, life);
  }

  async collect(name: string): Promise<Buffer[]> {
    await this.#link.up();
    return this.#inner.collect(name);
  }

  async hasGroups(stream: string): Promise<boolean> {
    await this.#link.up();
    return this.#inner.hasGroups(stream);
  }

  async groupState(stream: string, group: string): Promise<GroupState> {
    await this.#link.up();
    return this.#inner.groupState(stream, group);
  }

  adviceOn(): undefined {}

  async flush(): Promise<void> {
    await this.#link.up();
  }

  async ping(): Promise<void> {
    await this.#link.up();
    return this.#inner.ping();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** Hands nothing over while the connection is down; a channel's is opened anew when it is back. */
class InterruptibleSource implements Source {
  readonly takesBack: boolean;
  readonly settles: boolean;
  #inner: Source;
  readonly #link: Link;
  readonly #forget: () => void;
  readonly #halted = deferred<void>();
  #stopped = false;

  constructor(inner: Source, link: Link, reopen: (() => Promise<Source>) | undefined) {
    this.takesBack = inner.takesBack;
    this.settles = inner.settles;
    this.#inner = inner;
    this.#link = link;
    this.#forget = link.add({
      cut: () => {
        if (reopen !== undefined) void this.#inner.stop();
      },
      restore: async () => {
        if (reopen !== undefined && !this.#stopped) this.#inner = await reopen();
      },
    });
  }

  get trouble(): string | undefined {
    return this.#link.isDown ? 'the connection is down' : undefined;
  }

  get backlog(): Backlog | undefined {
    return this.#inner.backlog;
  }

  async read(max: number): Promise<Delivery[]> {
    for (;;) {
      await this.#up();
      const inner = this.#inner;
      const deliveries = await inner.read(max);
      await this.#up();
      // Nothing is read where the source has ended: by `stop`, or by the connection.
      if (deliveries.length > 0 || this.#stopped) return deliveries;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#halted.resolve();
    await this.#inner.stop();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    this.#forget();
    await this.#inner.close(unstarted);
  }

  ack(delivery: Delivery): Promise<void> | undefined {
    this.#link.activity++;
    return this.#inner.ack(delivery);
  }

  nack(delivery: Delivery, delay: number): void {
    this.#link.activity++;
    this.#inner.nack(delivery, delay);
  }

  abandon(delivery: Delivery): void {
    this.#inner.abandon(delivery);
  }

  /** Waits for the connection, but not past a stop. */
  async #up(): Promise<void> {
    const up = this.#link.up();
    if (up !== undefined && !this.#stopped) await Promise.race([up, this.#halted.promise]);
  }
}
