import { expect, it } from 'vitest';
import type { Target } from '../../src/transport/address.ts';
import { eventually } from '../support/eventually.ts';
import {
  channel,
  frame,
  frames,
  pattern,
  take,
  takeUntil,
  textsOf,
  type Bench,
} from './harness.ts';

function to(name: string): Target {
  return { kind: 'channel', name };
}

export function channelContract(bench: () => Bench): void {
  it('a message reaches everybody who listens, and nobody keeps it', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const sender = await connect();
    expect(await sender.send(to(name), frame('before'))).toBe(0);
    const sources = [await open(channel(name)), await open(channel(name))];
    expect(await sender.send(to(name), frame('after'))).toBe(2);
    for (const source of sources) {
      const [delivery] = await take(source, 1);
      expect(delivery).toMatchObject({ frame: frame('after'), name, id: undefined, count: 1 });
    }
  });

  it('receivers are counted, once per connection and name', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    const [one, other, sender] = [await connect(), await connect(), await connect()];
    expect(sender.countsReceivers).toBe(true);
    const first = await openOn(one, channel(name));
    const second = await openOn(one, channel(name));
    expect(await sender.send(to(name), frame('1'))).toBe(1);
    const glob = await openOn(one, pattern(`${name}*`));
    expect(await sender.send(to(name), frame('2'))).toBe(2);
    const third = await openOn(other, channel(name));
    expect(await sender.send(to(name), frame('3'))).toBe(3);
    expect(textsOf(await take(first, 3))).toEqual(['1', '2', '3']);
    expect(textsOf(await take(second, 3))).toEqual(['1', '2', '3']);
    expect(textsOf(await take(glob, 2))).toEqual(['2', '3']);
    expect(textsOf(await take(third, 1))).toEqual(['3']);
  });

  it('a source that is stopped is unsubscribed, and others of its name are not', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    const transport = await connect();
    const [one, other] = [
      await openOn(transport, channel(name)),
      await openOn(transport, channel(name)),
    ];
    await one.stop();
    expect(await transport.send(to(name), frame('x'))).toBe(1);
    expect(textsOf(await take(other, 1))).toEqual(['x']);
    expect(await one.read(1)).toEqual([]);
    await other.close([]);
    expect(await transport.send(to(name), frame('y'))).toBe(0);
  });

  it('a pattern that is stopped is unsubscribed', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    const transport = await connect();
    const source = await openOn(transport, pattern(`${name}*`));
    expect(await transport.send(to(name), frame('x'))).toBe(1);
    await source.stop();
    expect(await transport.send(to(name), frame('y'))).toBe(0);
  });

  it('a transport that is closed listens to nothing', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    const [listener, sender] = [await connect(), await connect()];
    await openOn(listener, channel(name));
    await openOn(listener, pattern(`${name}*`));
    expect(await sender.send(to(name), frame('x'))).toBe(2);
    await listener.close();
    await eventually(async () => (await sender.send(to(name), frame('y'))) === 0);
  });

  it.each([
    ['*', ['', 'a', 'a.b', 'a\nb'], []],
    ['.*', ['.', '.a', '.a.b'], ['', 'a']],
    ['.?', ['.a', '.*'], ['.', '.ab', 'a', '.é']],
    ['.[ab-d]', ['.a', '.c', '.d'], ['.e', '.-', '.']],
    ['.[^a]', ['.b', '.^'], ['.a', '.']],
    ['.\\*', ['.*'], ['.a', '.\\*', '.']],
    ['.a.*.z', ['.a.b.z', '.a.b.c.z'], ['.a.z', '.a.b.zz']],
    ['(.)+$', ['(.)+$'], ['.', '..']],
  ])(
    'a pattern takes what its glob matches, and gives the channel: %j',
    async (glob, ins, outs) => {
      const { name: newName, connect, open } = bench();
      const prefix = newName();
      const source = await open(pattern(prefix + glob));
      // What must not come is shown by what comes after it.
      const marker = await connect();
      const all = [...outs, ...ins];
      for (const end of all) {
        const receivers = await marker.send(to(prefix + end), frame(end));
        expect([end, receivers]).toEqual([end, ins.includes(end) ? 1 : 0]);
      }
      const found = await take(source, ins.length);
      expect(found.map((delivery) => delivery.name)).toEqual(ins.map((end) => prefix + end));
    },
  );

  it('a name with the letters of a glob is a name where it is no pattern', async () => {
    const { name: newName, connect, open } = bench();
    const name = `${newName()}*[a]?`;
    const source = await open(channel(name));
    const sender = await connect();
    expect(await sender.send(to(name.replace('*', 'x')), frame('other'))).toBe(0);
    expect(await sender.send(to(name), frame('x'))).toBe(1);
    expect(textsOf(await take(source, 1))).toEqual(['x']);
  });

  it('a name in any script is that name', async () => {
    const { name: newName, connect, open } = bench();
    const name = `${newName()} é\n水`;
    const source = await open(pattern(name));
    const sender = await connect();
    await sender.send(to(name), frame('x'));
    expect((await take(source, 1))[0]).toMatchObject({ name });
  });

  it('a batch is sent in order, and says how many received each', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(channel(name));
    const sender = await connect();
    expect(await sender.sendBatch(to(name), frames('a', 'b', 'c'))).toEqual([1, 1, 1]);
    expect(textsOf(await take(source, 3))).toEqual(['a', 'b', 'c']);
  });

  it('what arrived before a stop is still read, what comes after does not arrive', async () => {
    const { name: newName, connect, openOn } = bench();
    const name = newName();
    const transport = await connect();
    const [stopped, other] = [
      await openOn(transport, channel(name)),
      await openOn(transport, channel(name)),
    ];
    await transport.send(to(name), frame('before'));
    await takeUntil(other, 'before');
    await stopped.stop();
    await transport.send(to(name), frame('after'));
    await takeUntil(other, 'after');
    expect(textsOf(await stopped.read(10))).toEqual(['before']);
    expect(await stopped.read(10)).toEqual([]);
  });

  it('nothing of a channel can be settled or given back', async () => {
    const { name: newName, connect, open } = bench();
    const name = newName();
    const source = await open(channel(name));
    const sender = await connect();
    await sender.send(to(name), frame('x'));
    const [delivery] = await take(source, 1);
    expect(source).toMatchObject({ canReturn: false, needsAck: false });
    expect(source.ack(delivery as never)).toBeUndefined();
    source.nack(delivery as never, 0);
    source.abandon(delivery as never);
    await sender.send(to(name), frame('marker'));
    expect(await takeUntil(source, 'marker')).toEqual([]);
  });

  it('a listener hears its channel until it is closed', async () => {
    const { name: newName, connect } = bench();
    const name = newName();
    const [transport, sender] = [await connect(), await connect()];
    const heard: string[] = [];
    const others: string[] = [];
    const listener = await transport.listen(
      name,
      (bytes) => heard.push(String(bytes)),
      () => {},
    );
    await listener.ready();
    const other = await transport.listen(
      name,
      (bytes) => others.push(String(bytes)),
      () => {},
    );
    expect(await sender.sendBatch(to(name), frames('a', 'b'))).toEqual([1, 1]);
    await eventually(() => others.length === 2);
    expect(heard).toEqual(['a', 'b']);
    await listener.close();
    expect(await sender.send(to(name), frame('c'))).toBe(1);
    await eventually(() => others.length === 3);
    expect(heard).toEqual(['a', 'b']);
    await other.close();
    expect(await sender.send(to(name), frame('d'))).toBe(0);
  });

  it('a listener that sends is not run inside its own send', async () => {
    const { name: newName, connect } = bench();
    const name = newName();
    const transport = await connect();
    let sending = true;
    const heard = new Promise<boolean>((resolve) => {
      void transport.listen(
        name,
        () => resolve(sending),
        () => {},
      );
    });
    await eventually(async () => {
      sending = true;
      const sent = transport.send(to(name), frame('x'));
      sending = false;
      return (await sent) === 1;
    });
    expect(await heard).toBe(false);
  });
}
