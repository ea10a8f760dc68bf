import { expect, it } from 'vitest';
import type { Target } from '../../src/transport/address.ts';
import type { Later } from '../../src/transport/timed.ts';
import { eventually } from '../support/eventually.ts';
import { channel, frame, list, stream, take, textsOf, type Bench } from './harness.ts';

const after = (delay: number, handle = `h${delay}`): Later => ({ handle, delay });

export function delayedContract(bench: () => Bench): void {
  it.each(['channel', 'list', 'stream'] as const)(
    'a frame for a %s is sent when it is due, the earlier one first, and never before',
    async (kind) => {
      const { name: newName, connect, openOn } = bench();
      const transport = await connect();
      const to: Target = { kind, name: newName() };
      const options = { channel, list, stream }[kind](to.name);
      const source = await openOn(transport, options);
      await transport.timed.clock.ready();
      const asked = transport.timed.clock.now();
      expect(await transport.timed.sendLater(to, frame('second'), after(200))).toBe('h200');
      await transport.timed.sendLater(to, frame('first'), after(100));
      const [first] = await take(source, 1);
      expect(transport.timed.clock.now() - asked).toBeGreaterThanOrEqual(95);
      const [second] = await take(source, 1);
      expect(transport.timed.clock.now() - asked).toBeGreaterThanOrEqual(195);
      expect(textsOf([first as never, second as never])).toEqual(['first', 'second']);
      expect(await transport.timed.delayed(to, 0, 10)).toEqual([]);
    },
  );

  it('one that is due at an instant of the past is sent at once', async () => {
    const { name: newName, connect, open } = bench();
    const transport = await connect();
    const name = newName();
    const later: Later = { handle: 'h', at: 1_000 };
    await transport.timed.sendLater({ kind: 'list', name }, frame('late'), later);
    expect(textsOf(await take(await open(list(name)), 1))).toEqual(['late']);
  });

  it('one that is cancelled is not sent; it can be cancelled once, and not after it was sent', async () => {
    const { name: newName, connect } = bench();
    const transport = await connect();
    const to: Target = { kind: 'list', name: newName() };
    await transport.timed.sendLater(to, frame('a'), after(150, 'a'));
    await transport.timed.sendLater(to, frame('b'), after(150, 'b'));
    expect(await transport.timed.cancel(to, 'c')).toBe(false);
    expect(await transport.timed.cancel({ ...to, kind: 'stream' }, 'a')).toBe(false);
    expect(await transport.timed.cancel(to, 'a')).toBe(true);
    expect(await transport.timed.cancel(to, 'a')).toBe(false);
    await eventually(async () => expect(await transport.count(to)).toBe(1));
    expect(await transport.timed.cancel(to, 'b')).toBe(false);
    expect(textsOf(await transport.peek(to, undefined, 10))).toEqual(['b']);
  });

  it('those that wait are listed by their due times, with what they hold', async () => {
    const { name: newName, connect } = bench();
    const transport = await connect();
    const to: Target = { kind: 'stream', name: newName(), maxlen: 5 };
    await transport.timed.clock.ready();
    const now = transport.timed.clock.now();
    for (const hours of [3, 1, 2])
      await transport.timed.sendLater(to, frame(`${hours}:`), after(hours * 3_600_000));
    const found = await transport.timed.delayed(to, 0, 2);
    expect(found.map(({ frame: bytes }) => bytes.toString())).toEqual(['1:', '2:']);
    expect(found.map(({ due }) => Math.round((due - now) / 600_000))).toEqual([6, 12]);
    const [last] = await transport.timed.delayed(to, 2, 2);
    expect(last).toMatchObject({ handle: 'h10800000' });
    for (const handle of ['h3600000', 'h7200000', 'h10800000'])
      expect(await transport.timed.cancel(to, handle)).toBe(true);
  });

  it('a stream is made anew where it was deleted, and is capped as the message says', async () => {
    const { name: newName, connect } = bench();
    const transport = await connect();
    const to: Target = { kind: 'stream', name: newName(), maxlen: 1 };
    await transport.timed.sendLater(to, frame('a'), after(0));
    await eventually(async () => expect(await transport.count(to)).toBe(1));
    expect(textsOf(await transport.peek(to, undefined, 10))).toEqual(['a']);
  });

  it('in a batch of several targets each is sent at once or later, as it says', async () => {
    const { name: newName, connect } = bench();
    const transport = await connect();
    const [a, b] = [newName(), newName()].map((name): Target => ({ kind: 'list', name }));
    for (const transaction of [false, true]) {
      const results = await transport.sendAll(
        [
          { to: a as Target, frame: frame('now') },
          { to: a as Target, frame: frame('later'), later: after(60, `x${transaction}`) },
          { to: b as Target, frame: frame('later'), later: after(60, `y${transaction}`) },
        ],
        transaction,
      );
      expect(results.map((result) => result.status)).toEqual(Array(3).fill('fulfilled'));
      expect(results[1]).toMatchObject({ value: `x${transaction}` });
    }
    await eventually(async () => expect(await transport.count(a as Target)).toBe(4));
    await eventually(async () => expect(await transport.count(b as Target)).toBe(2));
  });
}
