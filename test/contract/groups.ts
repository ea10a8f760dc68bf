import { SetupError } from 'redstart';
import { expect, it } from 'vitest';
import type { Target } from '../../src/transport/address.ts';
import type { Delivery } from '../../src/transport/source.ts';
import { eventually } from '../support/eventually.ts';
import { missedSooner } from '../support/timings.ts';
import { frame, frames, stream, take, takeUntil, textsOf, type Bench } from './harness.ts';

function to(name: string): Target {
  return { kind: 'stream', name };
}

export function groupContract(bench: () => Bench): void {
  it('a group begins with the first entry of its stream', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const ids = await sender.sendBatch(to(name), frames('a', 'b'));
    const source = await open(stream(name, { group: 'g' }));
    expect(source).toMatchObject({ canReturn: true, needsAck: true });
    const found = await take(source, 2);
    expect(textsOf(found)).toEqual(['a', 'b']);
    expect(found.map((delivery) => delivery.id)).toEqual(ids);
    expect(found[0]).toMatchObject({ name, count: 1 });
  });

  it('a group may begin with what is sent from now on, or after a certain entry', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const [, b] = (await sender.sendBatch(to(name), frames('a', 'b', 'c'))) as string[];
    const fromNow = await open(stream(name, { group: 'now', lastId: '$' }));
    const afterB = await open(stream(name, { group: 'after', lastId: b as string }));
    await sender.send(to(name), frame('d'));
    expect(textsOf(await take(fromNow, 1))).toEqual(['d']);
    expect(textsOf(await take(afterB, 2))).toEqual(['c', 'd']);
  });

  it('a group that exists goes on where it was, whatever start is asked for', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const first = await open(stream(name, { group: 'g', consumer: 'c1' }));
    for (const delivery of await take(first, 1)) await first.ack(delivery);
    await first.close([]);
    const second = await open(stream(name, { group: 'g', consumer: 'c2', lastId: '0' }));
    expect(textsOf(await take(second, 1))).toEqual(['b']);
    await sender.send(to(name), frame('c'));
    const third = await open(stream(name, { group: 'g', consumer: 'c3', lastId: '$' }));
    expect(textsOf(await take(third, 1))).toEqual(['c']);
  });

  it('each entry goes to one consumer of a group, and to each group', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sources = [
      await open(stream(name, { group: 'g' })),
      await open(stream(name, { group: 'g' })),
    ];
    const other = await open(stream(name, { group: 'other' }));
    const sender = await connect();
    const found = sources.map((): string[] => []);
    const reading = sources.map(async (source, i) => {
      for (;;) {
        const some = await source.read(3);
        if (some.length === 0) return;
        found[i]?.push(...textsOf(some));
        if (found.flat().length === 200) await Promise.all(sources.map((each) => each.stop()));
      }
    });
    const texts = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(3, '0'));
    await Promise.all(texts.map((text) => sender.send(to(name), frame(text))));
    await Promise.all(reading);
    expect(found.flat().toSorted()).toEqual(texts);
    for (const own of found) expect(own).toEqual(own.toSorted());
    expect(textsOf(await take(other, 200))).toEqual(texts);
  });

  it('a group makes its stream where there is none', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    await open(stream(name, { group: 'g' }));
    // It is there now, for somebody who must not create it.
    const source = await open(stream(name, { group: 'g', consumer: 'c', declare: false }));
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const lone = await open(stream(name, { lastId: '0', declare: false }));
    expect(textsOf(await take(lone, 1))).toEqual(['a']);
    await source.stop();
  });

  it('a stream that is missing and must not be created is a SetupError', async () => {
    const { name: newName, open } = bench();
    const name = newName();
    for (const lastId of [undefined, '$', '0']) {
      const opening = open(stream(name, { group: 'g', lastId, declare: false }));
      await expect(opening).rejects.toBeInstanceOf(SetupError);
      await expect(opening).rejects.toThrow(name);
    }
  });

  it('a start that is no id is refused', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const opening = open(stream(name, { group: 'g', lastId: 'x-y' }));
    await expect(opening).rejects.toThrow('Invalid stream ID');
  });

  it('an entry that is no frame gives its fields and values, and is acknowledged alike', async () => {
    const { name: newName, addForeign, pending, open } = bench();
    const name = newName();
    const id = await addForeign(name, ['sku', 'A-1']);
    const source = await open(stream(name, { group: 'g', consumer: 'c' }));
    const [delivery] = await take(source, 1);
    expect(delivery).toEqual({ frame: frames('sku', 'A-1'), name, id, count: 1 });
    expect(await pending(name, 'g')).toEqual([{ id, consumer: 'c', count: 1 }]);
    await source.ack(delivery as never);
    expect(await pending(name, 'g')).toEqual([]);
  });

  it('what is read without acknowledgement is never pending', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const source = await open(stream(name, { group: 'g', consumer: 'c', noAck: true }));
    const found = await take(source, 2);
    expect(textsOf(found)).toEqual(['a', 'b']);
    expect(found.map((delivery) => delivery.count)).toEqual([1, 1]);
    expect(await pending(name, 'g')).toEqual([]);
    await source.ack(found[0] as never);
    source.nack(found[1] as never, 0);
    await source.close(found);
    const again = await open(stream(name, { group: 'g', consumer: 'c', noAck: true }));
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(again, 'marker')).toEqual([]);
  });

  it('a subscriber that caps its stream trims it as it acknowledges', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const texts = Array.from({ length: 1_000 }, (_, i) => `${i}`);
    await sender.sendBatch(to(name), frames(...texts));
    const source = await open(stream(name, { group: 'g', consumer: 'c', maxlen: 50 }));
    for (const delivery of await take(source, 1_000)) void source.ack(delivery);
    await source.close([]);
    const reader = await open(stream(name, { lastId: '0' }));
    await sender.send(to(name), frame('end'));
    const kept = await takeUntil(reader, 'end');
    expect(kept.length).toBeGreaterThanOrEqual(50);
    expect(kept.length).toBeLessThan(300);
    expect(kept).toEqual(texts.slice(-kept.length));
  });

  it('a stream is trimmed to the end when its last entries were acknowledged, also when its reader stops', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    const transport = await connect(missedSooner(10));
    await transport.sendBatch(to(name), frames(...Array.from({ length: 1_000 }, (_, i) => `${i}`)));
    const source = await openOn(transport, stream(name, { group: 'g', consumer: 'c', maxlen: 50 }));
    const [first, ...others] = await take(source, 500);
    await source.ack(first as Delivery);
    // So soon after the first that these come between two trims.
    for (const delivery of others) void source.ack(delivery);
    await eventually(async () => expect(await transport.count(to(name))).toBeLessThan(700));

    for (const delivery of await take(source, 500)) void source.ack(delivery);
    await source.close([]);
    expect(await transport.count(to(name))).toBeLessThan(300);
  });

  it('a group that nobody reads stops trimming, unless it has been silent for long enough', async () => {
    const { name: newName, connect, open, openOn } = bench();
    const name = newName();
    const transport = await connect();
    const texts = Array.from({ length: 600 }, (_, i) => `${i}`);
    const [silent, left] = [stream(name, { group: 'silent' }), stream(name, { group: 'left' })];
    // One whose consumer still has an entry, and one without consumers.
    const dead = await open({ ...silent, consumer: 'dead' });
    await (await open(left)).close([]);
    await transport.sendBatch(to(name), frames(...texts.slice(0, 1)));
    await take(dead, 1);
    await dead.close([]);
    await transport.sendBatch(to(name), frames(...texts.slice(1)));

    const trims = stream(name, { group: 'g', consumer: 'c', maxlen: 50 });
    const source = await open(trims);
    const one = await take(source, 600);
    for (const delivery of one) await source.ack(delivery);
    expect(await transport.count(to(name))).toBe(600);
    const stopped = await transport.groupState(trims);
    expect(stopped.trimming).toMatchObject({ length: 600, ignored: [] });
    expect(['silent', 'left']).toContain(stopped.trimming?.heldBy);

    await source.close([]);
    const past = stream(name, { group: 'g2', consumer: 'c', maxlen: 50, trimPast: 30 });
    const trimmer = await openOn(await connect(missedSooner(100)), past);
    await eventually(async () => {
      await transport.send(to(name), frame('more'));
      for (const delivery of await trimmer.read(1_000)) await trimmer.ack(delivery);
      expect(await transport.count(to(name))).toBeLessThan(300);
      // 'g' is silent a little later than the other two.
      const { trimming } = await transport.groupState(past);
      expect(new Set(trimming?.ignored)).toEqual(new Set(['silent', 'left', 'g']));
    });
  });

  it('groups are listed, moved and removed; there are none where there is no stream', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const store = await connect();
    expect(await store.groups(name)).toEqual([]);
    expect(await store.seekGroup(name, 'g', '0-0')).toBe(false);
    expect(await store.removeGroup(name, 'g')).toBe(false);
    const ids = (await store.sendBatch(to(name), frames('a', 'b', 'c'))) as string[];
    const source = await open(stream(name, { group: 'g', consumer: 'c1' }));
    const taken = await take(source, 3);
    for (const delivery of taken.slice(0, 2)) await source.ack(delivery);
    await store.flush();
    const [b, c] = [ids[1] as string, ids[2] as string];
    const group = { name: 'g', lastId: c, pending: 1, lag: 0, consumers: 1 };
    expect(await store.groups(name)).toEqual([group]);

    // What is pending stays so.
    expect(await store.seekGroup(name, 'g', ids[0] as string)).toBe(true);
    expect(await store.groups(name)).toMatchObject([{ lastId: ids[0], pending: 1 }]);
    expect(textsOf(await take(source, 2))).toEqual(['b', 'c']);
    expect(await store.seekGroup(name, 'g', b)).toBe(true);
    expect(await store.seekGroup(name, 'g', '$')).toBe(true);
    expect(await store.groups(name)).toMatchObject([{ lastId: c }]);
    await source.close([]);

    expect(await store.removeGroup(name, 'other')).toBe(false);
    expect(await store.removeGroup(name, 'g')).toBe(true);
    expect(await store.groups(name)).toEqual([]);
    expect(await store.count(to(name))).toBe(3);
  });
}
