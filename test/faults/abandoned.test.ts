import { RpcTimeoutError } from 'redstart';
import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { heldUp } from '../support/held-up.ts';
import { startProgram } from './child.ts';

const ADDRESSES = [
  { kind: 'list', to: { list: 'work' }, from: { list: 'work' } },
  { kind: 'stream', to: { stream: 'work' }, from: { stream: 'work', group: 'g' } },
] as const;

it.concurrent.for(ADDRESSES)(
  'a request whose caller timed out, aborted or was killed while it waited in a $kind is not handled',
  { timeout: 180_000 },
  async ({ to, from }, { own }) => {
    const server = await own.server();
    const caller = own.broker(server.url);
    const handled: unknown[] = [];
    // A call whose time is over before it could be sent is never sent: the way for answers is open first.
    const other = own.broker(server.url);
    other.subscriber('echo', (body) => body);
    await other.start();
    await caller.publish(1, { channel: 'echo', rpc: true, timeout: 20_000 });

    const raw = own.client(server.url);
    const waiting = (): Promise<number> => ('list' in to ? raw.llen(to.list) : raw.xlen(to.stream));
    // On a busy machine the time may be over before the request is sent: then with more of it.
    for (let timeout = 100; (await waiting()) === 0; timeout *= 2) {
      const timedOut = caller.publish('timed out', { ...to, rpc: true, timeout });
      await expect(timedOut).rejects.toBeInstanceOf(RpcTimeoutError);
    }
    // Aborted while it waits; again with more time where that was over first.
    let over = 0;
    for (let timeout = 2_000, isAborted = false; !isAborted; timeout *= 2) {
      const before = await waiting();
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = caller.publish('aborted', { ...to, rpc: true, timeout, signal });
      const ended = aborted.catch((error: unknown) => error);
      over = Date.now() + timeout;
      await Promise.race([eventually(async () => (await waiting()) > before), ended]);
      controller.abort();
      const end = await ended;
      isAborted = (end as Error).name === 'AbortError';
      expect(isAborted || end instanceof RpcTimeoutError).toBe(true);
    }
    const child = await startProgram(
      'abandon',
      [server.url, 'call', JSON.stringify(to), '1000'],
      own.finished,
    );
    const { deadline } = (await child.next()) as { deadline: number };
    await child.kill();
    await eventually(() => Date.now() > Math.max(deadline, over) + 100);

    const service = own.broker(server.url);
    service.subscriber(from as { list: string }, (body: unknown) => void handled.push(body));
    await service.start();
    await caller.publish('in time', { ...to, rpc: true, timeout: 40_000 });
    expect(handled).toEqual(['in time']);
    // The killed one may have died before its request was sent; the others were sent for certain.
    expect(service.stats.expiredRequests).toBeGreaterThanOrEqual(2);
  },
);

it.concurrent.for(['channel', 'list', 'stream'] as const)(
  'a handler on a %s that watches its signal is aborted when its caller times out, aborts, or is killed',
  { timeout: 180_000 },
  async (kind, { own }) => {
    const server = await own.server();
    const caller = own.broker(server.url);
    const service = own.broker(server.url, { logger: false });
    const state: Record<string, 'runs' | 'aborted'> = {};
    const from = kind === 'stream' ? { stream: 'work', group: 'g' } : { [kind]: 'work' };
    service.subscriber(
      { ...(from as { channel: string }), concurrency: 10 },
      async (body: string, { signal }) => {
        state[body] = 'runs';
        await new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          signal.addEventListener('abort', () => resolve());
        });
        state[body] = 'aborted';
      },
    );
    await service.start();
    const to = { [kind]: 'work' } as unknown as { channel: string };

    // On a busy machine the time may be over before the handler begins: then with more of it.
    for (let timeout = 300; state['timed out'] === undefined; timeout *= 2) {
      const timedOut = caller.publish('timed out', { ...to, rpc: true, timeout });
      await expect(timedOut).rejects.toBeInstanceOf(RpcTimeoutError);
    }
    await eventually(() => state['timed out'] === 'aborted');

    const controller = new AbortController();
    const reason = new Error('not wanted any more');
    const aborted = caller.publish('aborted', {
      ...to,
      rpc: true,
      timeout: 60_000,
      signal: controller.signal,
    });
    const rejected = aborted.catch((error: unknown) => error);
    await eventually(() => state['aborted'] === 'runs');
    controller.abort(reason);
    expect(await rejected).toBe(reason);
    await eventually(() => state['aborted'] === 'aborted');

    const child = await startProgram(
      'abandon',
      [server.url, 'call', JSON.stringify(to), '6000'],
      own.finished,
    );
    const { deadline } = (await child.next()) as { deadline: number };
    await eventually(() => state['abandoned'] === 'runs');
    const held = heldUp(own.finished);
    await child.kill();
    await eventually(() => state['abandoned'] === 'aborted');
    // Its time is what ends it; a busy machine may be late to hear of that.
    expect(Date.now() - held()).toBeLessThan(deadline + 4_000);
  },
);
