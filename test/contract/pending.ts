import { expect, it } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import type { Target } from '../../src/transport/address.ts';
import type { Delivery } from '../../src/transport/source.ts';
import { eventually } from '../support/eventually.ts';
import { frame, frames, stream, take, takeUntil, textsOf, type Bench } from './harness.ts';

function to(name: string): Target {
  return { kind: 'stream', name };
}

function group(name: string, consumer = 'c'): ReturnType<typeof stream> {
  return stream(name, { group: 'g', consumer });
}

function countsOf(deliveries: readonly Delivery[]): number[] {
  return deliveries.map((delivery) => delivery.count);
}

export function pendingContract(bench: () => Bench): void {
  it('what was delivered is pending until it is acknowledged', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    const ids = (await sender.sendBatch(to(name), frames('a', 'b', 'c'))) as string[];
    const source = await open(group(name));
    const found = await take(source, 2);
    expect(await pending(name, 'g')).toEqual([
      { id: ids[0], consumer: 'c', count: 1 },
      { id: ids[1], consumer: 'c', count: 1 },
    ]);
    await source.ack(found[0] as Delivery);
    expect(await pending(name, 'g')).toEqual([{ id: ids[1], consumer: 'c', count: 1 }]);
    // Twice does no harm.
    await source.ack(found[0] as Delivery);
    await source.ack(found[1] as Delivery);
    expect(await pending(name, 'g')).toEqual([]);
  });

  it('acknowledgements are out when the transport was flushed', async () => {
    const { name: newName, connect, pending, openOn } = bench();
    const name = newName();
    const transport = await connect();
    await transport.sendBatch(to(name), frames('a', 'b', 'c', 'd', 'e'));
    const source = await openOn(transport, group(name));
    for (const delivery of await take(source, 5)) void source.ack(delivery);
    await source.close([]);
    await transport.flush();
    expect(await pending(name, 'g')).toEqual([]);
  });

  it('a refused entry comes again after its delay, counted once more', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    const [id] = (await sender.sendBatch(to(name), frames('a'))) as string[];
    const source = await open(group(name));
    let [delivery] = (await take(source, 1)) as [Delivery];
    for (const count of [2, 3, 4]) {
      const start = performance.now();
      source.nack(delivery, 60);
      [delivery] = (await take(source, 1)) as [Delivery];
      // Timers may be a millisecond early.
      expect(performance.now() - start).toBeGreaterThanOrEqual(58);
      expect(delivery).toMatchObject({ frame: frame('a'), id, count });
      expect(await pending(name, 'g')).toEqual([{ id, consumer: 'c', count }]);
    }
    await source.ack(delivery);
    expect(await pending(name, 'g')).toEqual([]);
  });

  it('a refused entry comes while a read waits, and others pass it by meanwhile', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('refused'));
    const source = await open(group(name));
    const [refused] = (await take(source, 1)) as [Delivery];
    source.nack(refused, 2_000); // longer than a busy machine holds this up
    const reading = take(source, 1);
    await sender.send(to(name), frame('other'));
    expect(textsOf(await reading)).toEqual(['other']);
    expect(await take(source, 1)).toMatchObject([{ frame: frame('refused'), count: 2 }]);
  });

  it('a refused entry that is deleted meanwhile does not come again', async () => {
    const { name: newName, connect, deleteOldest, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('refused'));
    const source = await open(group(name));
    const [refused] = (await take(source, 1)) as [Delivery];
    await sender.send(to(name), frame('between'));
    await deleteOldest(name, 1);
    source.nack(refused, 10);
    await pause(50);
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(source, 'marker')).toEqual(['between']);
  });

  it('a refused entry does not come after a stop, and stays pending', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    const [id] = (await sender.sendBatch(to(name), frames('a'))) as string[];
    const source = await open(group(name));
    const [refused] = (await take(source, 1)) as [Delivery];
    source.nack(refused, 20);
    await source.stop();
    source.nack(refused, 0);
    expect(await source.read(1)).toEqual([]);
    await pause(60);
    expect(await pending(name, 'g')).toEqual([{ id, consumer: 'c', count: 1 }]);
  });

  it('an abandoned entry stays pending, and does not come again here', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    const [id] = (await sender.sendBatch(to(name), frames('a'))) as string[];
    const source = await open(group(name));
    source.abandon(...((await take(source, 1)) as [Delivery]));
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(source, 'marker')).toEqual([]);
    expect(await pending(name, 'g')).toContainEqual({ id, consumer: 'c', count: 1 });
  });

  it("a consumer's pending entries come first when it opens again, in order and counted", async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    const ids = (await sender.sendBatch(to(name), frames('a', 'b', 'c', 'd'))) as string[];
    const first = await open(group(name));
    const found = await take(first, 4);
    await first.ack(found[1] as Delivery);
    await first.close([]);
    await sender.sendBatch(to(name), frames('new 1', 'new 2'));

    const second = await open(group(name));
    const again = await take(second, 5);
    expect(textsOf(again)).toEqual(['a', 'c', 'd', 'new 1', 'new 2']);
    expect(countsOf(again)).toEqual([2, 2, 2, 1, 1]);
    expect((await pending(name, 'g'))[0]).toEqual({ id: ids[0], consumer: 'c', count: 2 });
    await second.ack(again[0] as Delivery);
    await second.close([]);

    const third = await open(group(name));
    const once = await take(third, 4);
    expect(textsOf(once)).toEqual(['c', 'd', 'new 1', 'new 2']);
    expect(countsOf(once)).toEqual([3, 3, 2, 2]);
    for (const delivery of once) await third.ack(delivery);
    expect(await pending(name, 'g')).toEqual([]);
  });

  it('pending entries come again page by page, each once', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const texts = Array.from({ length: 25 }, (_, i) => `${i}`);
    await sender.sendBatch(to(name), frames(...texts));
    const first = await open(group(name));
    await take(first, 25);
    await first.close([]);
    const second = await open(group(name));
    const found: Delivery[] = [];
    while (found.length < 25) found.push(...(await second.read(4)));
    expect(textsOf(found)).toEqual(texts);
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(second, 'marker')).toEqual([]);
  });

  it('what was not started is left pending by a close, and read again', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c'));
    const first = await open(group(name));
    const found = await take(first, 3);
    void first.ack(found[0] as Delivery);
    await first.close(found.slice(1));
    expect(await pending(name, 'g')).toHaveLength(2);
    const second = await open(group(name));
    expect(textsOf(await take(second, 2))).toEqual(['b', 'c']);
  });

  it("one consumer's pending entries do not come to another", async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    const [id] = (await sender.sendBatch(to(name), frames('a'))) as string[];
    const first = await open(group(name, 'c1'));
    await take(first, 1);
    await first.close([]);
    const second = await open(group(name, 'c2'));
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(second, 'marker')).toEqual([]);
    expect(await pending(name, 'g')).toContainEqual({ id, consumer: 'c1', count: 1 });
  });

  it('consumers without a name are different ones', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const nameless = stream(name, { group: 'g' });
    const [one, other] = [await open(nameless), await open(nameless)];
    await take(one, 1);
    await take(other, 1);
    const consumers = (await pending(name, 'g')).map((entry) => entry.consumer);
    expect(new Set(consumers).size).toBe(2);
  });

  it('entries that were deleted while pending are passed over, and pending no more', async () => {
    const { name: newName, connect, pending, deleteOldest, open } = bench();
    const name = newName();
    const sender = await connect();
    const ids = (await sender.sendBatch(to(name), frames('a', 'b', 'c'))) as string[];
    const first = await open(group(name));
    await take(first, 3);
    await first.close([]);
    await deleteOldest(name, 2);
    const second = await open(group(name));
    expect(await take(second, 1)).toMatchObject([{ frame: frame('c'), count: 2 }]);
    await eventually(async () => {
      expect(await pending(name, 'g')).toEqual([{ id: ids[2], consumer: 'c', count: 2 }]);
    });
  });

  it('where all that is pending was deleted, reading goes on with what is new', async () => {
    const { name: newName, connect, pending, deleteOldest, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const first = await open(group(name));
    await take(first, 2);
    await first.close([]);
    await deleteOldest(name, 2);
    const second = await open(group(name));
    const reading = take(second, 1);
    await sender.send(to(name), frame('new'));
    const found = await reading;
    expect(textsOf(found)).toEqual(['new']);
    await second.ack(found[0] as Delivery);
    await eventually(async () => expect(await pending(name, 'g')).toEqual([]));
  });
}
