// What is lost between a handler that reads its signal and a caller that leaves.
import {
  RpcTimeoutError,
  type BrokerOptions,
  type MessageContext,
  type RedisBroker,
} from 'redstart';
import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { timingsOption } from '../../src/transport/timings.ts';
import { UNWATCHED } from '../support/timings.ts';
import { startProgram } from './child.ts';

/** It is the test that ends a connection which is half-open. */
const options = { logger: false, [timingsOption]: UNWATCHED } as BrokerOptions;

/** A handler of the list `work` that reads its signal when `go` is called, and waits for it. */
interface Work {
  go: (() => void) | undefined;
  signal: AbortSignal | undefined;
}

async function works(service: RedisBroker): Promise<Work> {
  const work: Work = { go: undefined, signal: undefined };
  service.subscriber({ list: 'work' }, async (_body: unknown, ctx: MessageContext) => {
    await new Promise<void>((resolve) => (work.go = resolve));
    const { signal } = ctx;
    work.signal = signal;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  });
  service.subscriber({ list: 'echo' }, (body) => body);
  await service.start();
  return work;
}

const echo = { list: 'echo', rpc: true, timeout: 40_000 } as const;

it.concurrent(
  'a cancellation that is lost with the connection of the service is made up for',
  { timeout: 90_000 },
  async ({ own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const service = own.broker(proxy.url, options);
    const caller = own.broker(server.url);
    // Opens the connection for answers, the second one, before those that read lists.
    const early = service.publish(1, { list: 'other', rpc: true, timeout: 100 });
    await expect(early).rejects.toBeInstanceOf(RpcTimeoutError);
    const work = await works(service);
    const { signal, abort } = abortable();
    const call = caller.publish(1, { list: 'work', rpc: true, timeout: null, signal });
    call.catch(() => undefined); // looked at below
    await eventually(() => work.go !== undefined);
    work.go?.();
    await eventually(() => work.signal !== undefined);
    await caller.publish('after the notice of who can be cancelled', echo);
    // Redis counts the service as a receiver, and the bytes never arrive.
    expect(proxy.halfOpen((index) => index === 1)).toBe(1);
    abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await caller.publish('after the cancellation', { list: 'other' });
    expect(work.signal?.aborted).toBe(false);
    proxy.cut((index) => index === 1);
    await eventually(() => work.signal?.aborted === true);
  },
);

it.concurrent(
  'a notice of who can be cancelled that is lost with the connection of the caller is made up for',
  { timeout: 90_000 },
  async ({ own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const service = own.broker(server.url);
    const caller = own.broker(proxy.url, options);
    let questions = 0;
    const listener = own.client(server.url);
    listener.on('message', () => questions++);
    await listener.subscribe('redstart:inbox:lost');
    const work = await works(service);
    await caller.publish('opens the connection for answers', echo);
    const { signal, abort } = abortable();
    const call = caller.publish(1, { list: 'work', rpc: true, timeout: null, signal });
    call.catch(() => undefined); // looked at below
    await eventually(() => work.go !== undefined);
    expect(proxy.halfOpen((index) => index === 1)).toBe(1);
    work.go?.();
    await eventually(() => work.signal !== undefined);
    await service.publish('after the notice', { list: 'other' });
    proxy.cut((index) => index === 1);
    // The caller asks for what it may have missed.
    await eventually(() => questions > 0);
    abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await eventually(() => work.signal?.aborted === true);
  },
);

it.concurrent.for(isLong ? ['killed'] : [])(
  'killing the process of a caller aborts the handler of its call within seconds',
  { timeout: 90_000 },
  async (_how, { own }) => {
    const server = await own.server();
    const work = await works(own.broker(server.url));
    const place = JSON.stringify({ list: 'work' });
    const child = await startProgram('abandon', [server.url, 'call', place, 'null'], own.finished);
    await eventually(() => work.go !== undefined);
    work.go?.();
    await eventually(() => work.signal !== undefined);
    await child.kill();
    await eventually(() => work.signal?.aborted === true, 40_000);
  },
);

function abortable(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
