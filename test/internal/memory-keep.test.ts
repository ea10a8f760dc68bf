// What memory keeps dies by a timer, and a timer outlives the transport that set it.
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { MemoryTransport } from '../../src/transport/memory/memory-transport.ts';
import { unique } from '../support/redis.ts';

async function connected(url: string): Promise<MemoryTransport> {
  const transport = new MemoryTransport(url);
  await transport.connect();
  onTestFinished(() => transport.close());
  return transport;
}

describe('a frame kept in memory', () => {
  // Only these: what the transport awaits must go on by itself.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it('may outlive the transport that kept it: its end harms nobody', async () => {
    const keeper = await connected(`memory://${unique()}`);
    await keeper.keep('n', Buffer.from('a'), 1_000);
    await keeper.close();
    // What a timer throws would end the process; under a fake clock it is thrown here.
    expect(() => vi.advanceTimersByTime(1_001)).not.toThrow();
  });

  it('is there for others after the transport that kept it closed, until its life is over', async () => {
    const url = `memory://${unique()}`;
    const [keeper, other] = [await connected(url), await connected(url)];
    await keeper.keep('early', Buffer.from('a'), 1_000);
    await keeper.keep('late', Buffer.from('b'), 1_000);
    await keeper.close();
    vi.advanceTimersByTime(999);
    expect((await other.collect('early')).map(String)).toEqual(['a']);
    expect(() => vi.advanceTimersByTime(2)).not.toThrow();
    expect(await other.collect('late')).toEqual([]);
  });

  it('is not taken for one of another day: a transport that connects again finds its own', async () => {
    const transport = await connected(`memory://${unique()}`);
    await transport.keep('n', Buffer.from('old'), 1_000);
    await transport.close();
    await transport.connect();
    await transport.keep('n', Buffer.from('new'), 60_000);
    vi.advanceTimersByTime(1_001);
    expect((await transport.collect('n')).map(String)).toEqual(['new']);
  });
});
