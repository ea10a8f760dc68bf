import { expect, it } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import type { Target } from '../../src/transport/address.ts';
import type { Delivery, Source } from '../../src/transport/source.ts';
import { missedSooner } from '../support/timings.ts';
import {
  frame,
  frames,
  list,
  reliableList,
  take,
  takeUntil,
  textsOf,
  type Bench,
} from './harness.ts';

function to(name: string): Target {
  return { kind: 'list', name };
}

export function reliableContract(bench: () => Bench): void {
  it('an item is taken once, and is gone when it was acknowledged', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const source = await open(reliableList(name));
    expect(source).toMatchObject({ canReturn: true, needsAck: true });
    const found = await take(source, 2);
    expect(found).toEqual([
      { frame: frame('a'), name, id: undefined, count: 1 },
      { frame: frame('b'), name, id: undefined, count: 1 },
    ]);
    expect(await sender.count(to(name))).toBe(0);
    for (const delivery of found) await source.ack(delivery);
    // Twice does no harm.
    await source.ack(found[0] as Delivery);
    await source.close([]);
    expect(await sender.count(to(name))).toBe(0);
  });

  it('whoever gets an item whose consumer has ended has its mark at once; that of an equal item waits', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    // Whoever has a mark keeps it for longer than this test runs.
    const timings = { ...missedSooner(20), lease: 60_000 };
    const [one, two] = [await connect(timings), await connect(timings)];
    const mark = { name, group: undefined, id: 'a' };
    const wait = async (
      by: typeof one,
      source: Source,
      delivery: Delivery | undefined,
    ): Promise<number | undefined> => {
      const owner = source.holderOf?.(delivery as Delivery);
      return by.marks.takeMark(mark, owner as string);
    };
    await one.sendBatch(to(name), frames('same', 'same'));
    const first = await openOn(one, reliableList(name));
    const held = await take(first, 2);
    expect(await wait(one, first, held[0])).toBe(0);
    expect(await wait(one, first, held[1])).toBeGreaterThan(1_000);
    // Its handlers still run: it counts as dead in a while.
    await first.close([]);
    const second = await openOn(two, reliableList(name));
    const again = await take(second, 2);
    expect(again.map(({ count }) => count)).toEqual([2, 2]);
    expect(await wait(two, second, again[0])).toBe(0);
    expect(await wait(two, second, again[1])).toBeGreaterThan(1_000);
  });

  it('a read takes all that is there, up to what was asked for', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c', 'd', 'e'));
    const source = await open(reliableList(name));
    expect(textsOf(await take(source, 3))).toEqual(['a', 'b', 'c']);
    expect(textsOf(await take(source, 2))).toEqual(['d', 'e']);
    await sender.sendBatch(to(name), frames('f', 'g', 'h'));
    const found = await source.read(100);
    expect(textsOf(found)).toEqual(['f', 'g', 'h'].slice(0, found.length));
  });

  it('a close gives back what was not started, in order and before the rest', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c', 'd'));
    const source = await open(reliableList(name));
    const [first, ...unstarted] = await take(source, 3);
    await source.ack(first as Delivery);
    await source.close(unstarted);
    await sender.send(to(name), frame('e'));
    const next = await open(list(name));
    expect(textsOf(await take(next, 4))).toEqual(['b', 'c', 'd', 'e']);
  });

  it('what a close gives back wakes a reader that waits', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const source = await open(reliableList(name));
    const taken = await take(source, 2);
    const others = [await open(reliableList(name)), await open(reliableList(name))];
    const reading = others.map((other) => other.read(1));
    await source.close(taken);
    expect((await Promise.all(reading)).flatMap(textsOf).toSorted()).toEqual(['a', 'b']);
  });

  it('what is still being handled at a close can be acknowledged after it', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    const transport = await connect();
    await transport.sendBatch(to(name), frames('a', 'b'));
    const source = await openOn(transport, reliableList(name));
    const [running, unstarted] = (await take(source, 2)) as [Delivery, Delivery];
    await source.close([unstarted]);
    await source.ack(running);
    await transport.flush();
    await transport.send(to(name), frame('marker'));
    const next = await openOn(transport, reliableList(name));
    expect(await takeUntil(next, 'marker')).toEqual(['b']);
  });

  it('a refused item comes again after its delay, counted once more', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const source = await open(reliableList(name));
    let [delivery] = (await take(source, 1)) as [Delivery];
    for (const count of [2, 3, 4]) {
      const start = performance.now();
      source.nack(delivery, 60);
      [delivery] = (await take(source, 1)) as [Delivery];
      // Timers may be a millisecond early.
      expect(performance.now() - start).toBeGreaterThanOrEqual(58);
      expect(delivery).toMatchObject({ frame: frame('a'), count });
    }
    await source.ack(delivery);
    await source.close([]);
    expect(await sender.count(to(name))).toBe(0);
  });

  it('a refused item comes while a read waits, and others pass it by meanwhile', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('refused'));
    const source = await open(reliableList(name));
    const [refused] = (await take(source, 1)) as [Delivery];
    source.nack(refused, 2_000); // longer than a busy machine holds this up
    const reading = take(source, 1);
    await sender.send(to(name), frame('other'));
    expect(textsOf(await reading)).toEqual(['other']);
    expect(await take(source, 1)).toMatchObject([{ frame: frame('refused'), count: 2 }]);
  });

  it('a refused item keeps its pause when its source closes first, and comes to whoever reads then', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c'));
    const source = await open(reliableList(name));
    const [a, b, c] = (await take(source, 3)) as [Delivery, Delivery, Delivery];
    const start = performance.now();
    source.nack(b, 1_500);
    await source.ack(a);
    await source.close([c]);
    const next = await open(reliableList(name));
    expect(await take(next, 2)).toMatchObject([
      { frame: frame('c'), count: 1 },
      { frame: frame('b'), count: 2 },
    ]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(1_498);
  });

  it('an abandoned item does not come again here, and is another’s after the close', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const source = await open(reliableList(name));
    source.abandon(...((await take(source, 1)) as [Delivery]));
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(source, 'marker')).toEqual([]);
    expect(await sender.count(to(name))).toBe(0);
    await source.close([]);
    expect(textsOf(await take(await open(reliableList(name)), 1))).toEqual(['a']);
  });

  it('equal items are settled one by one', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('x', 'x', 'x'));
    const source = await open(reliableList(name));
    const [one, two, three] = (await take(source, 3)) as [Delivery, Delivery, Delivery];
    await source.ack(two);
    source.nack(one, 0);
    const [again] = (await take(source, 1)) as [Delivery];
    expect(again).toMatchObject({ frame: frame('x'), count: 2 });
    await source.ack(again);
    await source.close([three]);
    expect(await sender.count(to(name))).toBe(1);
  });

  it('each item goes to one of several readers, reliable or not', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const sources = [
      await open(reliableList(name)),
      await open(list(name)),
      await open(reliableList(name)),
    ];
    const found = sources.map((): string[] => []);
    const reading = sources.map(async (source, i) => {
      for (;;) {
        const some = await source.read(3);
        if (some.length === 0) return;
        found[i]?.push(...textsOf(some));
        for (const delivery of some) void source.ack(delivery);
        if (found.flat().length === 200) await Promise.all(sources.map((each) => each.stop()));
      }
    });
    const texts = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(3, '0'));
    await Promise.all(texts.map((text) => sender.send(to(name), frame(text))));
    await Promise.all(reading);
    expect(found.flat().toSorted()).toEqual(texts);
    // Within one reader, in order.
    for (const own of found) expect(own).toEqual(own.toSorted());
  });

  it('nothing is lost where a stop and a message meet', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const rounds = 30;
    const found: string[] = [];
    for (let i = 0; i < rounds; i++) {
      const source = await open(reliableList(name));
      const reading = source.read(10);
      const stopping = i % 2 === 0 ? source.stop() : undefined;
      // Before the stop has reached Redis, while it is on its way, and after.
      await pause(i % 3);
      const [, , some] = await Promise.all([
        sender.send(to(name), frame(`${i}`)),
        stopping ?? source.stop(),
        reading,
      ]);
      // Every other one is started, and the rest goes back.
      const started = some.filter((_, n) => n % 2 === 0);
      for (const delivery of started) await source.ack(delivery);
      found.push(...textsOf(started));
      await source.close(some.filter((delivery) => !started.includes(delivery)));
    }
    await sender.send(to(name), frame('end'));
    found.push(...(await takeUntil(await open(reliableList(name)), 'end')));
    expect(found.map(Number).toSorted((a, b) => a - b)).toEqual([...Array(rounds).keys()]);
  });

  it(
    'what a source held that is gone without a word comes to another, in order and before the rest',
    { timeout: 180_000 },
    async () => {
      const { name: newName, connect, openOn } = bench();
      const name = newName();
      // A third of the nine seconds after which a consumer counts as dead.
      const timings = missedSooner(3);
      const [sender, dying] = [await connect(), await connect(timings)];
      await sender.sendBatch(to(name), frames('a', 'b', 'c', 'd'));
      const source = await openOn(dying, reliableList(name));
      const [first] = (await take(source, 4)) as [Delivery];
      await source.ack(first);
      await dying.close();
      const heir = await openOn(await connect(timings), reliableList(name));
      expect(textsOf(await take(heir, 3))).toEqual(['b', 'c', 'd']);
    },
  );
}
