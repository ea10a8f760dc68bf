// The nine rules of a call, each under the fault that breaks it elsewhere. What each needs in
// detail is tested beside; here stands, for every rule, that it holds.
import {
  BrokerClosedError,
  NoRespondersError,
  OverloadedError,
  RemoteError,
  RpcTimeoutError,
  type RedisBroker,
} from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { hanging } from '../support/hanging.ts';
import { monitor } from '../support/monitor.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';

/** A started service that echoes on a channel, and a caller of its own. */
async function echo(
  url = redisUrl(),
): Promise<{ service: RedisBroker; caller: RedisBroker; channel: string }> {
  // Of their own: services of other tests that reconnect have calls repeated, and repeated answers are late.
  const rpc = { inboxPrefix: `${unique('inbox')}:` };
  const service = newBroker(url, { rpc });
  const caller = newBroker(url, { rpc });
  const channel = unique('echo');
  service.subscriber(channel, { concurrency: 100 }, (body) => body);
  await service.start();
  return { service, caller, channel };
}

describe('the rules of a call', () => {
  it('1. SUBSCRIBE is confirmed before the first request is sent, and again after every reconnect', async () => {
    const server = await ownServer();
    const { caller, channel } = await echo(server.url);
    const raw = rawClient(server.url);
    const seen: string[] = [];
    await monitor((args) => {
      const isInbox = args[0]?.toLowerCase() === 'subscribe' && args.join(' ').includes('inbox:');
      if (isInbox) seen.push('subscribe');
      if (args[0]?.toLowerCase() === 'publish' && args[1] === channel) seen.push('request');
    }, server.url);
    await caller.publish(1, { channel, rpc: true, timeout: 20_000 });
    await eventually(() => seen.includes('request'));
    expect(seen.indexOf('subscribe')).toBeLessThan(seen.indexOf('request'));
    expect(seen[0]).toBe('subscribe');

    seen.length = 0;
    await raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await eventually(() => seen.filter((what) => what === 'subscribe').length >= 2);
    const answer = await eventually(() =>
      caller.publish(2, { channel, rpc: true, timeout: 20_000 }),
    );
    expect(answer).toBe(2);
  });

  it('2. a call always ends: by value, by a typed error, or by its signal', async () => {
    const { service, caller, channel } = await echo();
    const never = unique('never');
    const { handler, end } = hanging();
    await service.subscriber(never, { concurrency: 10 }, handler).started();
    await expect(caller.publish(1, { channel, rpc: true })).resolves.toBe(1);
    await expect(
      caller.publish(1, { channel: never, rpc: true, timeout: 20 }),
    ).rejects.toBeInstanceOf(RpcTimeoutError);
    const signal = AbortSignal.timeout(20);
    await expect(caller.publish(1, { channel: never, rpc: true, signal })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    const forever = caller.publish(1, { channel: never, rpc: true, timeout: null });
    const closed = forever.catch((error: unknown) => error);
    await eventually(() => caller.stats.pendingCalls === 1);
    await caller.stop();
    expect(await closed).toBeInstanceOf(BrokerClosedError);
    end();
  });

  it('3. no responders is known at once', async () => {
    const caller = newBroker(redisUrl());
    const started = performance.now();
    const call = caller.publish(1, { channel: unique(), rpc: true, timeout: 30_000 });
    await expect(call).rejects.toBeInstanceOf(NoRespondersError);
    expect(performance.now() - started).toBeLessThan(20_000); // and not after 30 s
  });

  it('4. a failing handler answers', async () => {
    const { service, caller } = await echo();
    const list = unique('fails');
    service.subscriber({ list }, () => {
      throw new RangeError('out of range');
    });
    const call = caller.publish(1, { list, rpc: true, timeout: 30_000 });
    await expect(call).rejects.toMatchObject({ remoteName: 'RangeError', message: 'out of range' });
    await expect(call).rejects.toBeInstanceOf(RemoteError);
    expect(takeLogs()).toHaveLength(1);
  });

  it('5. late work is not done', async () => {
    const { service, caller } = await echo();
    const list = unique('late');
    await expect(caller.publish('late', { list, rpc: true, timeout: 20 })).rejects.toBeInstanceOf(
      RpcTimeoutError,
    );
    const handled: unknown[] = [];
    service.subscriber({ list }, (body) => void handled.push(body));
    await caller.publish('in time', { list, rpc: true, timeout: 20_000 });
    expect(handled).toEqual(['in time']);
  });

  it('6. late and duplicate answers are counted, never delivered to another call', async () => {
    const { service, caller, channel } = await echo();
    const slow = unique('slow');
    const { handler, end, begun } = hanging();
    await service.subscriber(slow, handler).started();
    await caller.publish(0, { channel, rpc: true }); // the way for answers is open
    // Again where the machine was so busy that its time was over before the handler began.
    while (begun() === 0) {
      const call = caller.publish(1, { channel: slow, rpc: true, timeout: 80 });
      await expect(call).rejects.toBeInstanceOf(RpcTimeoutError);
    }
    end();
    for (let i = 0; caller.stats.lateAnswers === 0; i++) {
      expect(await caller.publish(i, { channel, rpc: true })).toBe(i);
    }
    expect(caller.stats.lateAnswers).toBe(1);
  });

  it('7. an answer survives the caller\u2019s reconnect', async () => {
    const server = await ownServer();
    const { service, caller } = await echo(server.url);
    const raw = rawClient(server.url);
    const list = unique('survives');
    let answer: (() => void) | undefined;
    service.subscriber(
      { list },
      () => new Promise((resolve) => void (answer = () => resolve('kept'))),
    );
    const call = caller.publish(1, { list, rpc: true, timeout: 30_000 });
    await eventually(() => answer !== undefined);
    await raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    answer?.();
    await expect(call).resolves.toBe('kept');
    await eventually(async () => expect(await raw.keys('*')).toEqual([]));
    takeLogs();
  });

  it('8. pending calls are bounded', async () => {
    const { service } = await echo();
    const channel = unique('full');
    const { handler, end } = hanging();
    await service.subscriber(channel, handler).started();
    const caller = newBroker(redisUrl(), { rpc: { maxPending: 2 } });
    const calls = [1, 2].map((n) => caller.publish(n, { channel, rpc: true, timeout: 300 }));
    await expect(caller.publish(3, { channel, rpc: true })).rejects.toBeInstanceOf(OverloadedError);
    await Promise.allSettled(calls);
    expect(caller.stats.pendingCalls).toBe(0);
    end();
  });

  it('9. nothing leaks: ten thousand calls later, time-outs included, nothing is pending', async () => {
    const { service, caller, channel } = await echo();
    const never = unique('never');
    const { handler, end } = hanging();
    await service.subscriber(never, { concurrency: 10_000 }, handler).started();
    const calls = Array.from({ length: 10_000 }, (_, n) =>
      caller.publish(n, {
        channel: n % 10 === 0 ? never : channel,
        rpc: true,
        timeout: n % 10 === 0 ? 30 : 50_000,
      }),
    );
    const results = await Promise.allSettled(calls);
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1_000);
    expect(caller.stats.pendingCalls).toBe(0);
    end();
  });
});
