import { expect, it } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import type { Target } from '../../src/transport/address.ts';
import { frame, frames, list, take, takeUntil, textsOf, type Bench } from './harness.ts';

function to(name: string): Target {
  return { kind: 'list', name };
}

export function listContract(bench: () => Bench): void {
  it('sending gives the length, and items wait for a reader', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    expect(await sender.send(to(name), frame('a'))).toBe(1);
    expect(await sender.send(to(name), frame('b'))).toBe(2);
    expect(await sender.sendBatch(to(name), frames('c', 'd', 'e'))).toBe(5);
    const source = await open(list(name));
    const found = await take(source, 5);
    expect(textsOf(found)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(found[0]).toEqual({ frame: frame('a'), name, id: undefined, count: 1 });
    expect(await sender.send(to(name), frame('f'))).toBe(1);
  });

  it('a read takes all that is there, up to what was asked for', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c', 'd', 'e'));
    const source = await open(list(name));
    expect(textsOf(await source.read(3))).toEqual(['a', 'b', 'c']);
    expect(textsOf(await source.read(3))).toEqual(['d', 'e']);
  });

  it('a list that was read empty is gone: its name may be that of a stream', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const source = await open(list(name));
    expect(textsOf(await take(source, 1))).toEqual(['a']);
    await source.stop();
    await sender.send({ kind: 'stream', name }, frame('b'));
    await expect(sender.send(to(name), frame('c'))).rejects.toThrow('WRONGTYPE');
  });

  it('each item goes to one of several readers', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const sources = [await open(list(name)), await open(list(name))];
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
    // Within one reader, in order.
    for (const own of found) expect(own).toEqual(own.toSorted());
  });

  it('two readers that wait are both woken by two items', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const sources = [await open(list(name)), await open(list(name))];
    const reading = sources.map((source) => source.read(1));
    await sender.sendBatch(to(name), frames('a', 'b'));
    const found = (await Promise.all(reading)).flatMap(textsOf);
    expect(found.toSorted()).toEqual(['a', 'b']);
  });

  it('a reader that stopped waiting takes nothing from those that wait on', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const [stopped, other] = [await open(list(name)), await open(list(name))];
    const first = stopped.read(1);
    // The one that waits longest is served first, so let it be the one that stops.
    await pause(20);
    const second = other.read(1);
    await stopped.stop();
    expect(await first).toEqual([]);
    await sender.send(to(name), frame('a'));
    expect(textsOf(await second)).toEqual(['a']);
  });

  it('nothing is lost where a stop and a message meet', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const rounds = 30;
    const found: string[] = [];
    for (let i = 0; i < rounds; i++) {
      const source = await open(list(name));
      const reading = source.read(10);
      const stopping = i % 2 === 0 ? source.stop() : undefined;
      // Before the stop has reached Redis, while it is on its way, and after.
      await pause(i % 3);
      await Promise.all([
        sender.send(to(name), frame(`${i}`)),
        stopping ?? source.stop(),
        reading.then((some) => found.push(...textsOf(some))),
      ]);
      await source.close([]);
    }
    await sender.send(to(name), frame('end'));
    found.push(...(await takeUntil(await open(list(name)), 'end')));
    expect(found.map(Number).toSorted((a, b) => a - b)).toEqual([...Array(rounds).keys()]);
  });

  it('a close puts back what was not started, in order and before the rest', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b', 'c', 'd'));
    const source = await open(list(name));
    expect(source).toMatchObject({ canReturn: true, needsAck: false });
    const [, ...unstarted] = await take(source, 3);
    await source.close(unstarted);
    await sender.send(to(name), frame('e'));
    const next = await open(list(name));
    expect(textsOf(await take(next, 4))).toEqual(['b', 'c', 'd', 'e']);
  });

  it('what a close puts back wakes a reader that waits', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const source = await open(list(name));
    const taken = await take(source, 2);
    const other = await open(list(name));
    const reading = take(other, 2);
    await source.close(taken);
    expect(textsOf(await reading)).toEqual(['a', 'b']);
  });

  it('what a close puts back wakes as many readers as wait for it', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    const source = await open(list(name));
    const taken = await take(source, 2);
    const others = [await open(list(name)), await open(list(name))];
    const reading = others.map((other) => other.read(1));
    await source.close(taken);
    expect((await Promise.all(reading)).flatMap(textsOf).toSorted()).toEqual(['a', 'b']);
  });

  it('an item is gone once it was read: nothing settles it or brings it back', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const source = await open(list(name));
    const [delivery] = await take(source, 1);
    expect(source.ack(delivery as never)).toBeUndefined();
    source.nack(delivery as never, 0);
    source.abandon(delivery as never);
    await source.close([]);
    expect(await sender.send(to(name), frame('b'))).toBe(1);
  });
}
