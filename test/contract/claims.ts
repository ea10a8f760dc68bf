import { expect, it } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import type { Target } from '../../src/transport/address.ts';
import type { Delivery } from '../../src/transport/source.ts';
import { eventually } from '../support/eventually.ts';
import { frames, stream, take, textsOf, type Bench } from './harness.ts';

const MIN_IDLE = 300;

function to(name: string): Target {
  return { kind: 'stream', name };
}

function reader(name: string, consumer: string, minIdle = MIN_IDLE): ReturnType<typeof stream> {
  return stream(name, { group: 'g', consumer, minIdle });
}

export function claimsContract(bench: () => Bench): void {
  it('what a consumer left behind is taken over when it has been silent for minIdle, counted once more', async () => {
    const { name: newName, connect, pending, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c'));
    const dying = await open(reader(name, 'dead'));
    const left = await take(dying, 3);
    for (const delivery of left) dying.abandon(delivery);
    await dying.stop();
    await dying.close([]);

    const began = performance.now();
    const heir = await open(reader(name, 'heir'));
    const taken = await take(heir, 3);
    expect(performance.now() - began).toBeGreaterThan(MIN_IDLE * 0.5);
    expect(textsOf(taken)).toEqual(['a', 'b', 'c']);
    expect(taken.map(({ count }) => count)).toEqual([2, 2, 2]);
    expect((await pending(name, 'g')).map(({ consumer }) => consumer)).toEqual(
      Array.from({ length: 3 }, () => 'heir'),
    );
    for (const delivery of taken) void heir.ack(delivery);
    await eventually(async () => expect(await pending(name, 'g')).toEqual([]));
  });

  it('what is being handled is not taken over, however long it takes', async () => {
    const { name: newName, connect, open, pending } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('slow'));
    // So long that a process which the system holds up for a moment renews in time.
    const minIdle = 2_000;
    const busy = await open(reader(name, 'busy', minIdle));
    const [slow] = (await take(busy, 1)) as [Delivery];
    const idle = await open(reader(name, 'idle', minIdle));
    const other = take(idle, 1);
    // Long enough for several scans to find it stale, were it not renewed.
    await pause(minIdle * 2.2);
    await sender.sendBatch(to(name), frames('marker'));
    expect(textsOf(await other)).toEqual(['marker']);
    await busy.ack(slow);
    await eventually(async () =>
      expect((await pending(name, 'g')).map(({ consumer }) => consumer)).toEqual(['idle']),
    );
  });

  it('what was abandoned comes again after minIdle, also to the consumer that abandoned it', async () => {
    const { name: newName, connect, open, pending } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a'));
    const source = await open(reader(name, 'c'));
    const [first] = (await take(source, 1)) as [Delivery];
    source.abandon(first);
    const [again] = (await take(source, 1)) as [Delivery];
    expect([again.id, again.count]).toEqual([first.id, 2]);
    await source.ack(again);
    expect(await pending(name, 'g')).toEqual([]);
  });

  it('what was abandoned can still be acknowledged', async () => {
    const { name: newName, connect, open, pending } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a'));
    const source = await open(reader(name, 'c', 30_000));
    const [first] = (await take(source, 1)) as [Delivery];
    source.abandon(first);
    await source.ack(first);
    expect(await pending(name, 'g')).toEqual([]);
  });

  it('what was not started when its consumer closed is the next one’s at once, and was not delivered', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const first = await open(reader(name, 'first', 30_000));
    const unstarted = await take(first, 2);
    await first.stop();
    await first.close(unstarted);
    const second = await open(reader(name, 'second', 30_000));
    const taken = await take(second, 2);
    expect(textsOf(taken)).toEqual(['a', 'b']);
    expect(taken.map(({ count }) => count)).toEqual([1, 1]);
  });

  it('stale entries and new ones reach one consumer, and deleted ones do not stop it', async () => {
    const { name: newName, connect, open, deleteOldest } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c'));
    const dying = await open(reader(name, 'dead'));
    for (const delivery of await take(dying, 3)) dying.abandon(delivery);
    await dying.stop();
    await dying.close([]);
    await deleteOldest(name, 1);
    await sender.sendBatch(to(name), frames('d'));
    const heir = await open(reader(name, 'heir'));
    const texts = textsOf(await take(heir, 3)).toSorted();
    expect(texts).toEqual(['b', 'c', 'd']);
  });

  it('entries are deleted as they are acknowledged, where that is wanted', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const source = await open({ ...reader(name, 'c'), deleteOnAck: true });
    const [a] = (await take(source, 2)) as [Delivery];
    await source.ack(a);
    const all = await open(stream(name, { lastId: '0' }));
    expect(textsOf(await take(all, 1))).toEqual(['b']);
  });
}
