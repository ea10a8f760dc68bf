import { SetupError } from 'redstart';
import { expect, it } from 'vitest';
import type { Target } from '../../src/transport/address.ts';
import { frame, frames, isAfter, stream, take, takeUntil, textsOf, type Bench } from './harness.ts';

function to(name: string, maxlen?: number): Target {
  return { kind: 'stream', name, maxlen };
}

export function streamContract(bench: () => Bench): void {
  it('sending gives the id of the entry, and ids grow', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const sent: string[] = [];
    for (let i = 0; i < 20; i++) sent.push((await sender.send(to(name), frame('x'))) as string);
    sent.push(...((await sender.sendBatch(to(name), frames('a', 'b', 'c'))) as string[]));
    expect(sent).toHaveLength(23);
    for (const [i, id] of sent.entries()) {
      expect(id).toMatch(/^\d+-\d+$/);
      expect(isAfter(id, sent[i - 1] ?? '0-0')).toBe(true);
    }
    const source = await open(stream(name, { lastId: '0' }));
    const found = await take(source, 23);
    expect(found.map((delivery) => delivery.id)).toEqual(sent);
    expect(textsOf(found).slice(-3)).toEqual(['a', 'b', 'c']);
    expect(found[0]).toMatchObject({ name, count: 1 });
  });

  it('a reader begins with what is sent after it opened, by default and with $', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('before'));
    const sources = [await open(stream(name)), await open(stream(name, { lastId: '$' }))];
    // Nothing was read yet, and these are not to be missed.
    await sender.sendBatch(to(name), frames('a', 'b'));
    for (const source of sources) expect(textsOf(await take(source, 2))).toEqual(['a', 'b']);
  });

  it('a reader that opened before the stream existed misses nothing', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(stream(name));
    const sender = await connect();
    await sender.sendBatch(to(name), frames('a', 'b'));
    expect(textsOf(await take(source, 2))).toEqual(['a', 'b']);
  });

  it('nothing is lost between two reads', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(stream(name));
    const sender = await connect();
    const found: string[] = [];
    for (let i = 0; i < 20; i++) {
      await sender.sendBatch(to(name), frames(`${i}a`, `${i}b`));
      found.push(...textsOf(await take(source, 1)));
    }
    await sender.send(to(name), frame('end'));
    found.push(...(await takeUntil(source, 'end')));
    expect(found).toEqual(Array.from({ length: 20 }, (_, i) => [`${i}a`, `${i}b`]).flat());
  });

  it('a reader may begin at the first entry, or after a certain one', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const ids = (await sender.sendBatch(to(name), frames('a', 'b', 'c'))) as string[];
    const fromStart = await open(stream(name, { lastId: '0' }));
    expect(textsOf(await take(fromStart, 3))).toEqual(['a', 'b', 'c']);
    const afterA = await open(stream(name, { lastId: ids[0] as string }));
    expect(textsOf(await take(afterA, 2))).toEqual(['b', 'c']);
    const afterC = await open(stream(name, { lastId: ids[2] as string }));
    await sender.send(to(name), frame('d'));
    expect(textsOf(await take(afterC, 1))).toEqual(['d']);
    // An id without its second half means the first of that millisecond.
    const [time] = (ids[0] as string).split('-') as [string];
    const afterTime = await open(stream(name, { lastId: `${Number(time) - 1}` }));
    expect(textsOf(await take(afterTime, 4))).toEqual(['a', 'b', 'c', 'd']);
  });

  it('every reader gets every entry', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sources = [await open(stream(name)), await open(stream(name)), await open(stream(name))];
    const sender = await connect();
    const reading = sources.map((source) => take(source, 3));
    await sender.sendBatch(to(name), frames('a', 'b', 'c'));
    for (const found of await Promise.all(reading)) expect(textsOf(found)).toEqual(['a', 'b', 'c']);
  });

  it('an entry that is no frame gives its fields and values in turn', async () => {
    const { name: newName, addForeign, open } = bench();
    const name = newName();
    const id = await addForeign(name, ['sku', 'A-1', 'note', 'é']);
    const source = await open(stream(name, { lastId: '0' }));
    expect(await take(source, 1)).toEqual([
      { frame: frames('sku', 'A-1', 'note', 'é'), name, id, count: 1 },
    ]);
  });

  it('a length that is given with the message caps the stream, roughly', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    const texts = Array.from({ length: 1_000 }, (_, i) => `${i}`);
    await Promise.all(texts.map((text) => sender.send(to(name, 50), frame(text))));
    const source = await open(stream(name, { lastId: '0' }));
    await sender.send(to(name), frame('end'));
    const kept = await takeUntil(source, 'end');
    // Redis trims whole nodes, of a hundred entries by default.
    expect(kept.length).toBeGreaterThanOrEqual(50);
    expect(kept.length).toBeLessThan(300);
    expect(kept).toEqual(texts.slice(-kept.length));
  });

  it.each(['$', '0', '0-1'])(
    'a stream that is missing and must not be created is a SetupError: from %s',
    async (lastId) => {
      const { name: newName, connect, open } = bench();
      const name = newName();
      const opening = open(stream(name, { lastId, declare: false }));
      await expect(opening).rejects.toBeInstanceOf(SetupError);
      await expect(opening).rejects.toThrow(name);
      // It was not created by being looked for, either.
      const again = open(stream(name, { declare: false }));
      await expect(again).rejects.toBeInstanceOf(SetupError);
      const sender = await connect();
      const [id] = (await sender.sendBatch(to(name), frames('a'))) as string[];
      const source = await open(stream(name, { lastId: '0', declare: false }));
      expect((await take(source, 1))[0]?.id).toBe(id);
    },
  );

  it('nothing is pending, so nothing can be settled', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const source = await open(stream(name, { lastId: '0' }));
    expect(source.needsAck).toBe(false);
    const [delivery] = await take(source, 1);
    await source.ack(delivery as never);
    source.nack(delivery as never, 0);
    source.abandon(delivery as never);
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(source, 'marker')).toEqual([]);
  });

  it('a start that is no id is refused', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    await sender.send(to(name), frame('a'));
    const read = async (): Promise<unknown> =>
      (await open(stream(name, { lastId: 'x-y' }))).read(1);
    await expect(read()).rejects.toThrow('Invalid stream ID');
  });
}
