import { describe, expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { Feed } from '../../src/transport/feed.ts';
import type { Delivery } from '../../src/transport/source.ts';

function delivery(name: string): Delivery {
  return { frame: Buffer.from(name), name, id: undefined, count: 1 };
}

function namesOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ name }) => name);
}

describe('a feed', () => {
  it('hands out what is pushed, in order and no more than was asked for', async () => {
    const feed = new Feed();
    for (const name of ['a', 'b', 'c']) feed.push(delivery(name));
    expect(namesOf(await feed.next(2))).toEqual(['a', 'b']);
    expect(namesOf(await feed.next(2))).toEqual(['c']);
    const waiting = feed.next(2);
    feed.push(delivery('d'));
    expect(namesOf(await waiting)).toEqual(['d']);
  });

  it('lets what is pushed pass a fetch that is under way, and fetches once at a time', async () => {
    const fetched = [deferred<void>(), deferred<void>()];
    let calls = 0;
    const feed: Feed = new Feed({ fetch: () => fetched[calls++]?.promise });
    const first = feed.next(1);
    feed.pushPast(delivery('passing'));
    expect(namesOf(await first)).toEqual(['passing']);
    const second = feed.next(1);
    expect(calls).toBe(1);
    // It found nothing: who still waits has it tried again.
    fetched[0]?.resolve();
    await fetched[0]?.promise;
    await feed.fetching;
    feed.push(delivery('later'));
    fetched[1]?.resolve();
    expect(namesOf(await second)).toEqual(['later']);
    expect(calls).toBe(2);
  });

  it('hands over what a fetch finds together, when it has ended', async () => {
    const more = deferred<void>();
    const feed: Feed = new Feed({
      async fetch() {
        feed.push(delivery('a'));
        await more.promise;
        feed.push(delivery('b'));
      },
    });
    const reading = feed.next(5);
    await new Promise(setImmediate);
    more.resolve();
    expect(namesOf(await reading)).toEqual(['a', 'b']);
  });

  it('throws what a fetch rejected with, once, and goes on', async () => {
    let calls = 0;
    const feed: Feed = new Feed({
      async fetch() {
        if (++calls === 1) throw new Error('lost');
        feed.push(delivery('a'));
      },
    });
    await expect(feed.next(1)).rejects.toThrow('lost');
    expect(namesOf(await feed.next(1))).toEqual(['a']);
  });

  it('ends when what is there, and what is being fetched, has been read', async () => {
    const fetched = deferred<void>();
    const feed: Feed = new Feed({ fetch: () => fetched.promise });
    const reading = feed.next(1);
    feed.end();
    feed.push(delivery('in flight'));
    fetched.resolve();
    expect(namesOf(await reading)).toEqual(['in flight']);
    await feed.fetching;
    expect(await feed.next(1)).toEqual([]);
  });

  it('that ends with a failure throws it for every read, after what was there', async () => {
    const feed = new Feed();
    feed.push(delivery('before'));
    feed.end({ error: new Error('refused') });
    expect(namesOf(await feed.next(1))).toEqual(['before']);
    await expect(feed.next(1)).rejects.toThrow('refused');
    await expect(feed.next(1)).rejects.toThrow('refused');
  });
});
