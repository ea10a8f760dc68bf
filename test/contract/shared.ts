import { expect, it } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import type { Target } from '../../src/transport/address.ts';
import { TIMINGS } from '../../src/transport/timings.ts';
import type { SourceOptions } from '../../src/transport/source.ts';
import type { Outbound } from '../../src/transport/transport.ts';
import { eventually } from '../support/eventually.ts';
import {
  channel,
  frame,
  frames,
  list,
  pattern,
  reliableList,
  stream,
  take,
  textsOf,
  timeOf,
  type Bench,
} from './harness.ts';

/** Every kind of source, and where to send for it. */
const KINDS: [
  kind: string,
  options: (name: string) => SourceOptions,
  target: (name: string) => Target,
][] = [
  ['a channel', channel, (name) => ({ kind: 'channel', name })],
  ['a pattern', (name) => pattern(`${name}*`), (name) => ({ kind: 'channel', name })],
  ['a list', list, (name) => ({ kind: 'list', name })],
  ['a reliable list', reliableList, (name) => ({ kind: 'list', name })],
  ['a stream', (name) => stream(name), (name) => ({ kind: 'stream', name })],
  ['a group', (name) => stream(name, { group: 'g' }), (name) => ({ kind: 'stream', name })],
];

export function sharedContract(bench: () => Bench): void {
  it('many for any targets are sent together, in order, each with its own reply', async () => {
    const { name: newName, connect, open } = bench();
    const [items, entries, nobody] = [newName(), newName(), newName()];
    const sender = await connect();
    const replies = await sender.sendAll(
      [
        { to: { kind: 'list', name: items }, frame: frame('a') },
        { to: { kind: 'stream', name: items }, frame: frame('not a stream') },
        { to: { kind: 'stream', name: entries, maxlen: 5 }, frame: frame('c') },
        { to: { kind: 'channel', name: nobody }, frame: frame('d') },
        { to: { kind: 'list', name: items }, frame: frame('b') },
      ],
      false,
    );
    expect(replies).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'rejected', reason: expect.any(Error) },
      { status: 'fulfilled', value: expect.stringMatching(/^\d+-\d+$/) },
      { status: 'fulfilled', value: 0 },
      { status: 'fulfilled', value: 2 },
    ]);
    expect(textsOf(await take(await open(list(items)), 2))).toEqual(['a', 'b']);
    expect(textsOf(await take(await open(stream(entries, { lastId: '0' })), 1))).toEqual(['c']);
  });

  it('of a transaction all are sent, in order, or none', async () => {
    const { name: newName, connect, open } = bench();
    const [items, entries] = [newName(), newName()];
    const sender = await connect();
    const all: Outbound[] = [
      { to: { kind: 'list', name: items }, frame: frame('a') },
      { to: { kind: 'stream', name: entries }, frame: frame('b') },
      { to: { kind: 'list', name: items }, frame: frame('c') },
    ];
    const wrong: Outbound = { to: { kind: 'stream', name: items }, frame: frame('not a stream') };
    const refused = await sender.sendAll([...all, wrong], true);
    expect(refused.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    expect(await sender.count({ kind: 'list', name: items })).toBe(0);
    expect(await sender.count({ kind: 'stream', name: entries })).toBe(0);
    expect(await sender.sendAll(all, true)).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'fulfilled', value: expect.stringMatching(/^\d+-\d+$/) },
      { status: 'fulfilled', value: 2 },
    ]);
    expect(textsOf(await take(await open(list(items)), 2))).toEqual(['a', 'c']);
    expect(textsOf(await take(await open(stream(entries, { lastId: '0' })), 1))).toEqual(['b']);
  });

  it.each(KINDS)('bytes arrive as they were sent: %s', async (_kind, options, target) => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(options(name));
    const sender = await connect();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await sender.send(target(name), bytes);
    await sender.send(target(name), new Uint8Array(0));
    // A slice of something bigger is sent alone.
    await sender.send(target(name), bytes.subarray(10, 12));
    const found = await take(source, 3);
    expect(found.map((delivery) => delivery.frame)).toEqual([
      bytes,
      Buffer.alloc(0),
      Buffer.from([10, 11]),
    ]);
    expect(found.map((delivery) => delivery.name)).toEqual([name, name, name]);
    expect(found.map((delivery) => delivery.count)).toEqual([1, 1, 1]);
  });

  it.each(KINDS)('a thousand arrive in order: %s', async (_kind, options, target) => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(options(name));
    const sender = await connect();
    const texts = Array.from({ length: 1_000 }, (_, i) => `${i}`);
    await Promise.all(texts.map((text) => sender.send(target(name), frame(text))));
    expect(textsOf(await take(source, 1_000))).toEqual(texts);
  });

  it.each(KINDS)('a read gives at most what was asked for: %s', async (_kind, options, target) => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(options(name));
    const sender = await connect();
    await sender.sendBatch(target(name), frames('a', 'b', 'c', 'd', 'e'));
    const found: string[] = [];
    while (found.length < 5) {
      const some = await source.read(2);
      expect([1, 2]).toContain(some.length);
      found.push(...textsOf(some));
    }
    expect(found).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it.each(KINDS)('a waiting read is woken at once: %s', async (_kind, options, target) => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(options(name));
    const sender = await connect();
    const times: number[] = [];
    for (let i = 0; i < 5 || (i < 100 && Math.min(...times) >= 100); i++) {
      const reading = take(source, 1);
      // The read cannot be seen to wait; this gives it the time to. The test holds either way.
      await pause(20);
      await sender.send(target(name), frame('x'));
      times.push(await timeOf(reading));
    }
    // The best of them: a busy machine delays some, polling would delay all.
    expect(Math.min(...times)).toBeLessThan(100);
  });

  it.each(KINDS)('a stop ends a waiting read, with nothing: %s', async (_kind, options) => {
    const { name: newName, connect, openOn } = bench();
    // So long that a busy machine cannot be taken for a read that came to its end.
    const source = await openOn(await connect({ ...TIMINGS, block: 60_000 }), options(newName()));
    const reading = source.read(10);
    await pause(20);
    expect(await timeOf(source.stop())).toBeLessThan(20_000);
    expect(await reading).toEqual([]);
    expect(await source.read(10)).toEqual([]);
    await source.stop();
    await source.close([]);
  });

  it.each(KINDS)('a stop before the first read is a stop: %s', async (_kind, options) => {
    const { name: newName, open } = bench();
    const source = await open(options(newName()));
    await source.stop();
    expect(await source.read(1)).toEqual([]);
  });

  it.each(KINDS)(
    'closing one source leaves the others alone: %s',
    async (_kind, options, target) => {
      const { name: newName, connect, openOn } = bench();
      const [closed, open] = [newName(), newName()];
      const transport = await connect();
      const one = await openOn(transport, options(closed));
      const other = await openOn(transport, options(open));
      const reading = other.read(1);
      await one.close([]);
      await transport.send(target(open), frame('x'));
      expect(textsOf(await reading)).toEqual(['x']);
    },
  );

  it('closing one transport leaves the others alone', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(list(name));
    const [one, other] = [await connect(), await connect()];
    await one.close();
    await other.send({ kind: 'list', name }, frame('x'));
    expect(textsOf(await take(source, 1))).toEqual(['x']);
  });

  it('a transport that is closed sends nothing, and may be closed again', async () => {
    const { name: newName, connect } = bench();
    const name = newName();
    const [closed, other] = [await connect(), await connect()];
    await closed.close();
    const sending = closed.send({ kind: 'list', name }, frame('x'));
    await expect(sending).rejects.toBeInstanceOf(Error);
    await expect(closed.ping()).rejects.toBeInstanceOf(Error);
    await closed.close();
    expect(await other.send({ kind: 'list', name }, frame('x'))).toBe(1);
  });

  it('a transport pings, and flushes, while it is connected', async () => {
    const { connect } = bench();
    const transport = await connect();
    await expect(transport.ping()).resolves.toBeUndefined();
    await expect(transport.flush()).resolves.toBeUndefined();
  });

  it('a key of one kind refuses to be used as another', async () => {
    const { name: newName, connect, openOn } = bench();
    const [aList, aStream] = [newName(), newName()];
    const transport = await connect();
    await transport.send({ kind: 'list', name: aList }, frame('x'));
    await transport.send({ kind: 'stream', name: aStream }, frame('x'));

    const toStream = transport.send({ kind: 'stream', name: aList }, frame('x'));
    await expect(toStream).rejects.toThrow('WRONGTYPE');
    const toList = transport.send({ kind: 'list', name: aStream }, frame('x'));
    await expect(toList).rejects.toThrow('WRONGTYPE');
    const batch = transport.sendBatch({ kind: 'list', name: aStream }, frames('x', 'y'));
    await expect(batch).rejects.toThrow('WRONGTYPE');

    // Opening may find out, or the first read.
    const read = async (options: SourceOptions): Promise<unknown> =>
      (await openOn(transport, options)).read(1);
    await expect(read(list(aStream))).rejects.toThrow('WRONGTYPE');
    await expect(read(reliableList(aStream))).rejects.toThrow('WRONGTYPE');
    await expect(read(stream(aList))).rejects.toThrow('WRONGTYPE');
    await expect(read(stream(aList, { group: 'g' }))).rejects.toThrow('WRONGTYPE');
  });

  it('what is kept under a name is collected once, in order', async () => {
    const { name: newName, connect } = bench();
    const name = newName();
    const [keeper, collector] = [await connect(), await connect()];
    await keeper.keep(name, frame('a'), 60_000);
    await keeper.keep(name, frame('b'), 60_000);
    expect((await collector.collect(name)).map(String)).toEqual(['a', 'b']);
    expect(await collector.collect(name)).toEqual([]);
    expect(await collector.collect(newName())).toEqual([]);
  });

  it('what is kept is forgotten when its life is over', async () => {
    const { name: newName, connect } = bench();
    const name = newName();
    const transport = await connect();
    // Collecting takes it, so each look needs one of its own: the first to be gone has expired.
    await eventually(async () => {
      await transport.keep(name, frame('a'), 1);
      await pause(20);
      expect(await transport.collect(name)).toEqual([]);
    });
  });

  it('what is kept later lives as long as it was given, whatever was kept before', async () => {
    const { name: newName, connect } = bench();
    const name = newName();
    const transport = await connect();
    await transport.keep(name, frame('short'), 50);
    await transport.keep(name, frame('long'), 60_000);
    await pause(150);
    expect((await transport.collect(name)).map(String)).toContain('long');

    await transport.keep(name, frame('short'), 50);
    await transport.collect(name);
    await transport.keep(name, frame('long'), 60_000);
    await pause(150);
    expect((await transport.collect(name)).map(String)).toEqual(['long']);
  });
}
