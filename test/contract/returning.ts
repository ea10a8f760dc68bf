import { describe, expect, it, onTestFinished } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import type { Target } from '../../src/transport/address.ts';
import {
  PARKED,
  type Delivery,
  type Source,
  type SourceOptions,
} from '../../src/transport/source.ts';
import { TIMINGS as USUAL } from '../../src/transport/timings.ts';
import { missedSooner } from '../support/timings.ts';
import { eventually } from '../support/eventually.ts';
import {
  channel,
  frame,
  frames,
  list,
  reliableList,
  stream,
  take,
  takeUntil,
  textsOf,
  type Bench,
} from './harness.ts';

interface Settled {
  readonly kind: 'stream' | 'list';
  /** A pause of this many milliseconds is kept on the server. */
  readonly long: number;
  /** One of this many in the process, until it closes. */
  readonly short: number;
  read(name: string, consumer?: string, minIdle?: number): SourceOptions;
}

/** A tenth of the usual waiting times: a list's pause of more than 0.9 s is kept on the server. */
const TIMINGS = missedSooner(10);

const GROUP: Settled = {
  kind: 'stream',
  long: 1_100,
  short: 400,
  read: (name, consumer, minIdle = 600) => stream(name, { group: 'g', consumer, minIdle }),
};
const RELIABLE: Settled = {
  kind: 'list',
  long: 1_100,
  short: 1_300,
  read: (name) => reliableList(name),
};

export function returningContract(bench: () => Bench): void {
  describe.each([
    ['a group', GROUP],
    ['a reliable list', RELIABLE],
  ])('%s', (_, { kind, long, short, read }) => {
    const to = (name: string): Target => ({ kind, name });

    it('what is given back is another’s at once, in order, and was not delivered', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      const giver = await openOn(sender, read(name, 'giver'));
      await sender.sendBatch(to(name), frames('a', 'b', 'c'));
      const [a, ...rest] = (await take(giver, 3)) as [Delivery, Delivery, Delivery];
      expect(giver.held).toBe(3);
      // By itself it would look so late that a busy machine cannot be taken for it.
      const timings = { ...USUAL, block: 60_000 };
      const other = await openOn(await connect(timings), read(name, 'other', 60_000));
      const reading = take(other, 2);
      await pause(100); // it waits by now
      const start = performance.now();
      await giver.giveBack(rest);
      expect(giver.held).toBe(1);
      const taken = await reading;
      expect(performance.now() - start).toBeLessThan(10_000);
      expect(taken).toMatchObject([
        { frame: frame('b'), count: 1 },
        { frame: frame('c'), count: 1 },
      ]);
      // What was given back is nobody's here any more.
      await giver.ack(rest[0]);
      giver.nack(rest[1], 0);
      await giver.ack(a);
      for (const delivery of taken) await other.ack(delivery);
      expect([giver.held, other.held]).toEqual([0, 0]);
      await sender.send(to(name), frame('marker'));
      expect(await takeUntil(other, 'marker')).toEqual([]);
    });

    it('what nobody else takes comes again to the one that gave it back, before what is new', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      const giver = await openOn(sender, read(name, 'giver'));
      await sender.sendBatch(to(name), frames('a', 'b'));
      await giver.giveBack(await take(giver, 2));
      await sender.send(to(name), frame('new'));
      const again = await take(giver, 3);
      expect(textsOf(again)).toEqual(['a', 'b', 'new']);
      expect(again.map(({ count }) => count)).toEqual([1, 1, 1]);
    });

    it('a retry that is given back keeps the deliveries that it has had', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      const giver = await openOn(sender, read(name, 'giver'));
      await sender.send(to(name), frame('a'));
      const [first] = (await take(giver, 1)) as [Delivery];
      giver.nack(first, 0);
      const [second] = (await take(giver, 1)) as [Delivery];
      expect(second.count).toBe(2);
      await giver.giveBack([second]);
      const other = await openOn(await connect(), read(name, 'other'));
      expect(await take(other, 1)).toMatchObject([{ frame: frame('a'), count: 2 }]);
    });

    it('a delivery that does not count is not counted, however long the pause', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      await sender.send(to(name), frame('a'));
      const source = await openOn(await connect(TIMINGS), read(name, 'c'));
      const [first] = (await take(source, 1)) as [Delivery];
      source.nack(first, 10);
      let [delivery] = (await take(source, 1)) as [Delivery];
      for (const delay of [10, long]) {
        source.nack(delivery, delay, false);
        [delivery] = (await take(source, 1)) as [Delivery];
        expect(delivery).toMatchObject({ frame: frame('a'), count: 2 });
      }
      await source.ack(delivery);
      expect(source.held).toBe(0);
    });

    it('a long pause is kept on the server, and survives all who could know of it, three times', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      await sender.send(to(name), frame('a'));
      for (const [i, consumer] of ['one', 'two', 'three'].entries()) {
        const transport = await connect(TIMINGS);
        const source = await openOn(transport, read(name, consumer));
        const [delivery] = (await take(source, 1)) as [Delivery];
        expect(delivery).toMatchObject({ frame: frame('a'), count: i + 1 });
        const start = performance.now();
        source.nack(delivery, long);
        await eventually(() => expect(source.held).toBe(0));
        await source.close([]);
        await transport.close();
        const next = await connect(TIMINGS);
        const early = await openOn(next, read(name, `${consumer}'s heir`));
        const [again] = (await take(early, 1)) as [Delivery];
        expect(performance.now() - start).toBeGreaterThanOrEqual(long - 2);
        expect(again.count).toBe(i + 2);
        // Its delivery has not begun.
        await early.close([again]);
      }
    });

    it('a short pause that a close interrupts is kept, too', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      await sender.send(to(name), frame('a'));
      const source = await openOn(await connect(), read(name, 'one'));
      const [delivery] = (await take(source, 1)) as [Delivery];
      const start = performance.now();
      source.nack(delivery, short);
      await source.close([]);
      const next = await openOn(await connect(), read(name, 'two'));
      expect(await take(next, 1)).toMatchObject([{ frame: frame('a'), count: 2 }]);
      expect(performance.now() - start).toBeGreaterThanOrEqual(short - 2);
    });

    it('the second thousand that waits for a retry waits on the server', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      await sender.sendBatch(
        to(name),
        Array.from({ length: 1_200 }, (_, n) => frame(`${n}`)),
      );
      const source = await openOn(sender, read(name, 'c'));
      for (const delivery of await take(source, 1_200)) source.nack(delivery, 500);
      await eventually(() => expect(source.held).toBeLessThanOrEqual(1_000));
      const again = await take(source, 1_200);
      expect(new Set(textsOf(again)).size).toBe(1_200);
      expect(again.every(({ count }) => count === 2)).toBe(true);
    });

    it('what a dead consumer held has been delivered once more, for the next one as well', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      await sender.sendBatch(to(name), frames('poison', 'poison'));
      for (const count of [1, 2, 3]) {
        const victim = await connect(TIMINGS);
        const source = await openOn(victim, read(name));
        const held = await take(source, 2);
        expect(held.map((delivery) => delivery.count)).toEqual([count, count]);
        await victim.close(); // without a word
      }
    }, 180_000);

    it('what dead consumers had fetched and not begun counts as delivered once at most', async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      const sender = await connect();
      await sender.send(to(name), frame('behind'));
      const counts: (number | undefined)[] = [];
      for (let i = 0; i < 3; i++) {
        const victim = await connect(TIMINGS);
        const source = await openOn(victim, read(name));
        // In memory there is nobody to count for: the messages end with the process.
        const [delivery] = source.begins === undefined ? [] : await source.read(1);
        counts.push(delivery?.count);
        await victim.close(); // without a word
      }
      expect([[1, 2, 2], Array(3).fill(undefined)]).toContainEqual(counts);
    }, 180_000);
  });

  it('parked entries belong to a consumer that nobody claims from and nobody removes', async () => {
    const { name: newName, connect, openOn, pending } = bench();
    const name = newName();
    const sender = await connect();
    const options = stream(name, { group: 'g', consumer: 'c', minIdle: 100 });
    const [id] = (await sender.sendBatch({ kind: 'stream', name }, frames('a'))) as string[];
    const source = await openOn(await connect(TIMINGS), options);
    const [delivery] = (await take(source, 1)) as [Delivery];
    source.nack(delivery, 60_000);
    const parked = [{ id, consumer: PARKED, count: 1 }];
    await eventually(async () => expect(await pending(name, 'g')).toEqual(parked));
    const claimer = await openOn(await connect(TIMINGS), { ...options, consumer: 'claimer' });
    const reading = take(claimer, 1);
    await pause(1_000); // many scans
    expect(await pending(name, 'g')).toEqual(parked);
    await source.stop();
    await sender.send({ kind: 'stream', name }, frame('marker'));
    expect(textsOf(await reading)).toEqual(['marker']);
  });

  it('a second consumer of one name reads under a name beside it, and what the first has in hand stays there', async () => {
    const { name: newName, connect, pending } = bench();
    const name = newName();
    const sender = await connect(TIMINGS);
    const options = stream(name, { group: 'g', consumer: 'worker-0' });
    await sender.sendBatch({ kind: 'stream', name }, frames('a', 'b'));
    const reported: string[] = [];
    const open = async (): Promise<Source> => {
      const transport = await connect(TIMINGS);
      const source = await transport.open(options, (problem) => reported.push(problem));
      onTestFinished(() => source.stop());
      return source;
    };
    const first = await open();
    await take(first, 2);
    const second = await open();
    const reading = take(second, 1);
    await eventually(() => expect(reported.join()).toContain("'worker-0'"));
    await sender.send({ kind: 'stream', name }, frame('c'));
    expect(textsOf(await reading)).toEqual(['c']);
    const owners = (await pending(name, 'g')).map(({ consumer }) => consumer);
    expect(owners.slice(0, 2)).toEqual(['worker-0', 'worker-0']);
    expect(owners[2]).toMatch(/^worker-0~\w+$/);
    // The name is free again at once when its owner has closed.
    await first.close([]);
    await second.close([]);
    const third = await open();
    expect(textsOf(await take(third, 2))).toEqual(['a', 'b']);
  });

  it('an entry is deleted when the last group has acknowledged it, and not before', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const to: Target = { kind: 'stream', name };
    const sender = await connect();
    await sender.sendBatch(to, frames('a'));
    const [one, two] = [
      await open(stream(name, { group: 'one', deleteOnAck: true })),
      await open(stream(name, { group: 'two', deleteOnAck: true })),
    ];
    const [first] = (await take(one, 1)) as [Delivery];
    await one.ack(first);
    expect(await sender.count(to)).toBe(1);
    const [second] = (await take(two, 1)) as [Delivery];
    await two.ack(second);
    expect(await sender.count(to)).toBe(0);
  });

  it.each([
    ['a plain list', list, 'list'],
    ['a stream without a group', (name: string) => stream(name, { lastId: '0' }), 'stream'],
    ['a channel', channel, 'channel'],
  ] as const)('what is given back to %s is read again, in order', async (_, read, kind) => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const source = await open(read(name));
    await sender.sendBatch({ kind, name }, frames('a', 'b', 'c'));
    const [, ...rest] = await take(source, 3);
    expect(source.held).toBe(0);
    await source.giveBack(rest);
    expect(textsOf(await take(source, 2))).toEqual(['b', 'c']);
  });
}
