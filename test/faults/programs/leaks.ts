// Many calls in a row, in a process that measures its own heap.
// argv: url, calls in all, 'shared' or 'own' timeouts
import type { EventEmitter } from 'node:events';
import { Redis } from 'ioredis';
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { PATIENT } from '../../support/timings.ts';

const [url = '', total = '', timeouts = ''] = process.argv.slice(2);
const say = (what: object): void => void process.send?.(what);
const collectGarbage = (globalThis as { gc?: () => void }).gc as () => void;

/**
 * What is left after garbage collections: the least of what is read, once ten readings in a row have not become less. One
 * reading says little: pages are swept by other threads, and until they are, garbage in them counts as used.
 */
async function heap(): Promise<number> {
  let least = Infinity;
  for (let asBefore = 0; asBefore < 10; asBefore++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { heapUsed } = process.memoryUsage();
    if (heapUsed < 0.99 * least) asBefore = 0;
    least = Math.min(least, heapUsed);
  }
  return least;
}

/** Every client that redstart made, found as it connects. */
const clients = new Set<Redis>();
const connect = Redis.prototype.connect;
Redis.prototype.connect = function (this: Redis, ...args: Parameters<typeof connect>) {
  clients.add(this);
  return connect.apply(this, args);
};

function count(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0);
}

function listeners(): Record<string, number> {
  let onClients = 0;
  let onSockets = 0;
  for (const client of clients) {
    onClients += count(client);
    onSockets += count(client.stream);
  }
  return { clients: clients.size, onClients, onSockets, onProcess: count(process) };
}

async function main(): Promise<void> {
  const service = new RedisBroker(url, {
    logger: false,
    gracefulTimeout: 100,
    [timingsOption]: PATIENT,
  } as BrokerOptions);
  const caller = new RedisBroker(url, { logger: false, [timingsOption]: PATIENT } as BrokerOptions);
  service.subscriber({ channel: 'echo', concurrency: 100 }, (body) => body);
  service.subscriber({ channel: 'async', concurrency: 100 }, async (body) => body);
  service.subscriber({ channel: 'fails', concurrency: 100 }, () => {
    throw new RangeError('on purpose');
  });
  // Never answers, and ends when nobody waits any more.
  service.subscriber({ channel: 'never', concurrency: 1_000 }, (_body, { signal }) => {
    return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  });
  await service.start();
  const shared = new AbortController();
  const ends = { values: 0, errors: 0, timeouts: 0, aborted: 0, wrong: 0 };

  async function one(n: number): Promise<void> {
    try {
      if (n % 1_000 === 0) await caller.publish(n, { channel: 'never', rpc: true, timeout: 20 });
      if (n % 1_000 === 1) {
        const signal = AbortSignal.timeout(10);
        await caller.publish(n, { channel: 'never', rpc: true, signal });
      }
      if (n % 1_000 === 2) await caller.publish(n, { channel: 'fails', rpc: true });
      const channel = n % 2 === 0 ? 'echo' : 'async';
      // One signal for many calls: each must take its listener off again.
      const signal = n % 3 === 0 ? shared.signal : undefined;
      // What is left of somebody's time differs from call to call.
      const timeout = timeouts === 'own' ? 30_000 - n / 100 : 30_000;
      const answer = await caller.publish(n, { channel, rpc: true, timeout, signal });
      if (answer === n) ends.values++;
      else ends.wrong++;
    } catch (error) {
      const { name } = error as Error;
      // On a busy machine the handler may see first that the time is over.
      if (name === 'RpcTimeoutError' || name === 'ExpiredError') ends.timeouts++;
      else if (name === 'TimeoutError') ends.aborted++;
      else if (name === 'RemoteError') ends.errors++;
      else throw error;
    }
  }
  let next = 0;
  async function upTo(limit: number): Promise<void> {
    const worker = async (): Promise<void> => {
      while (next < limit) await one(next++);
    };
    await Promise.all(Array.from({ length: 64 }, worker));
  }
  // Twice what a broker remembers of its answers, so that this memory is full before and after.
  await upTo(40_000);
  const before = { heap: await heap(), listeners: listeners() };
  await upTo(40_000 + Number(total));
  const after = { heap: await heap(), listeners: listeners() };
  const pending = caller.stats.pendingCalls;
  say({ before, after, pending, ends });
  await caller.stop();
  await service.stop();
  // Whatever timer or socket is left keeps this process alive.
  process.disconnect();
}

// It ends with the error, which the test then shows.
void main();
