import { expect, onTestFinished } from 'vitest';
import type { Delivery, Source, SourceOptions } from '../../src/transport/source.ts';
import type { Timings } from '../../src/transport/timings.ts';
import type { Transport } from '../../src/transport/transport.ts';

export interface Pending {
  readonly id: string;
  readonly consumer: string;
  readonly count: number;
}

/** What a transport under test brings along: one set of data, and a way to look at it from outside. */
export interface Backend {
  /** A transport on the data, not connected. */
  make(timings?: Timings): Transport;
  /** A name of the test's own. */
  name(): string;
  /** Entries of a group that were delivered and not acknowledged, in the order of their ids. */
  pending(stream: string, group: string): Promise<Pending[]>;
  /** Adds an entry that is not a frame: fields and values in turn. Returns its id. */
  addForeign(stream: string, fields: readonly string[]): Promise<string>;
  /** Deletes the oldest entries of a stream. */
  deleteOldest(stream: string, count: number): Promise<void>;
  close(): Promise<void>;
}

export interface Bench extends Omit<Backend, 'make' | 'close'> {
  /** A connected transport, closed when the test ends. */
  connect(timings?: Timings): Promise<Transport>;
  /** A connected transport and a source of it. Both are closed when the test ends. */
  open(options: SourceOptions): Promise<Source>;
  /** Opens a source on a transport; it is stopped when the test ends. */
  openOn(transport: Transport, options: SourceOptions): Promise<Source>;
}

/** For use inside a test. Whatever a transport reports as trouble fails it. */
export function benchOf(start: () => Backend): Bench {
  const backend = start();
  const problems: unknown[] = [];
  const cleanups: (() => Promise<unknown>)[] = [() => backend.close()];
  onTestFinished(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
    expect(problems, 'trouble that the transport reported').toEqual([]);
  });
  const connect = async (timings?: Timings): Promise<Transport> => {
    const transport = backend.make(timings);
    await transport.connect();
    cleanups.push(() => transport.close());
    return transport;
  };
  const openOn = async (transport: Transport, options: SourceOptions): Promise<Source> => {
    const source = await transport.open(options, (...problem) => problems.push(problem));
    cleanups.push(() => source.stop());
    return source;
  };
  return {
    ...backend,
    connect,
    openOn,
    open: async (options) => openOn(await connect(), options),
  };
}

type RequestManyOptions = Extract<SourceOptions, { kind: 'stream' }>;

export function channel(name: string): SourceOptions {
  return { kind: 'channel', name, isPattern: false };
}

export function pattern(name: string): SourceOptions {
  return { kind: 'channel', name, isPattern: true };
}

export function list(name: string): SourceOptions {
  return { kind: 'list', name, reliable: false };
}

export function reliableList(name: string): SourceOptions {
  return { kind: 'list', name, reliable: true };
}

export function stream(
  name: string,
  options: Partial<RequestManyOptions> = {},
): RequestManyOptions {
  return {
    kind: 'stream',
    name,
    group: undefined,
    consumer: undefined,
    lastId: undefined,
    declare: true,
    noAck: false,
    maxlen: undefined,
    minIdle: 30_000,
    deleteOnAck: false,
    ...options,
  };
}

/** Exactly `count` deliveries whose handling begins, however many reads they take. */
export async function take(source: Source, count: number): Promise<Delivery[]> {
  const all: Delivery[] = [];
  while (all.length < count) {
    const some = await source.read(count - all.length);
    if (some.length === 0) throw new Error(`the source ended after ${all.length} deliveries`);
    for (const delivery of some) if (await begins(source, delivery)) all.push(delivery);
  }
  return all;
}

/** What is called before the handling of a delivery begins; false where the message is somebody else's by now. */
async function begins(source: Source, delivery: Delivery): Promise<boolean> {
  return delivery.comesAgain !== true || (await source.begins?.(delivery)) === true;
}

/** Everything up to the delivery whose text is `marker`, which was sent last. */
export async function takeUntil(source: Source, marker: string): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const [next] = textsOf(await take(source, 1));
    if (next === marker) return all;
    all.push(next as string);
  }
}

export function textsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ frame }) => (frame as Buffer).toString());
}

export function frames(...texts: string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text));
}

export function frame(text: string): Buffer {
  return Buffer.from(text);
}

/** Milliseconds until `promise` settles. */
export async function timeOf(promise: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await promise;
  return performance.now() - start;
}

/** Ids of streams are two numbers, and grow as those do. */
export function isAfter(a: string, b: string): boolean {
  const [timeA, sequenceA] = a.split('-').map(Number) as [number, number];
  const [timeB, sequenceB] = b.split('-').map(Number) as [number, number];
  return timeA > timeB || (timeA === timeB && sequenceA > sequenceB);
}
