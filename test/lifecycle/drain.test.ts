import { expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { heldUp } from '../support/held-up.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const KINDS = ['channel', 'list', 'stream', 'group'] as const;

/** Said to be lists, because the compiler wants to know which of the structures it is. */
function addresses(kind: (typeof KINDS)[number], name: string) {
  const to = (kind === 'group' ? { stream: name } : { [kind]: name }) as { list: string };
  return { from: (kind === 'group' ? { ...to, group: 'g', consumer: 'c' } : to) as typeof to, to };
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

onBothBackends('a stop', (bench) => {
  it.each(KINDS)('waits for the handler that runs, and its answer is sent (%s)', async (kind) => {
    const { broker, name } = bench();
    const [service, client] = [broker({ gracefulTimeout: 10_000 }), broker()];
    const { from, to } = addresses(kind, name());
    let end: (() => void) | undefined;
    let isDone = false;
    service.subscriber(from, async () => {
      await new Promise<void>((resolve) => void (end = resolve));
      isDone = true;
      return 'finished';
    });
    await service.start();
    const answer = client.publish(1, { ...to, rpc: true, timeout: 40_000 });
    await eventually(() => expect(end).toBeDefined());
    let isStopped = false;
    const stopping = service.stop().then(() => {
      isStopped = true;
    });
    await later(50);
    expect(isStopped).toBe(false);
    end?.();
    await stopping;
    expect(isDone).toBe(true);
    expect(await answer).toBe('finished');
    await client.stop();
    await later(20); // for a log line that comes when all is over
    expect(takeLogs()).toEqual([]);
  });

  it.each(KINDS)('right after the first answer says nothing (%s)', async (kind) => {
    const { broker, name } = bench();
    const [service, client] = [broker(), broker()];
    const { from, to } = addresses(kind, name());
    service.subscriber(from, () => 'first');
    await service.start();
    expect(await client.publish(1, { ...to, rpc: true, timeout: 40_000 })).toBe('first');
    await Promise.all([service.stop(), client.stop()]);
    await later(20); // for a log line that comes when all is over
    expect(takeLogs()).toEqual([]);
  });

  it('aborts the signals of handlers that outlive gracefulTimeout', async () => {
    const { broker, name } = bench();
    const service = broker({ gracefulTimeout: 100 });
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, async (_, { signal }) => {
      seen.push('in');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      seen.push('aborted');
    });
    await service.start();
    await service.publish(1, { list: name() });
    await eventually(() => expect(seen).toEqual(['in']));
    const [began, held] = [performance.now(), heldUp()];
    await service.stop();
    const took = performance.now() - began;
    expect(seen).toEqual(['in', 'aborted']);
    expect(took).toBeGreaterThanOrEqual(95);
    expect(took - held()).toBeLessThan(5_000);
    expect(takeLogs()).toMatchObject([{ level: 'warn' }]);
  });

  it('ends even where a handler ignores its signal, and says so', async () => {
    const { broker, name } = bench();
    const service = broker({ gracefulTimeout: 50 });
    let end: (() => void) | undefined;
    service.subscriber(
      { list: name() },
      () => new Promise<void>((resolve) => void (end = resolve)),
    );
    await service.start();
    await service.publish(1, { list: name() });
    await eventually(() => expect(end).toBeDefined());
    const [began, held] = [performance.now(), heldUp()];
    await service.stop();
    expect(performance.now() - began - held()).toBeLessThan(10_000);
    end?.();
    expect(takeLogs().map(({ level }) => level)).toContain('error');
  });

  it('is one stop, however often it is asked for while handlers run', async () => {
    const { broker, name } = bench();
    const service = broker({ gracefulTimeout: 10_000 });
    let end: (() => void) | undefined;
    let isDone = false;
    service.subscriber({ list: name() }, async () => {
      await new Promise<void>((resolve) => void (end = resolve));
      isDone = true;
    });
    await service.start();
    await service.publish(1, { list: name() });
    await eventually(() => expect(end).toBeDefined());
    const doneAtEnd = [service.stop(), service.stop(), service[Symbol.asyncDispose]()].map(
      async (stopping) => {
        await stopping;
        return isDone;
      },
    );
    await later(20);
    doneAtEnd.push(service.stop().then(() => isDone));
    await later(20);
    end?.();
    expect(await Promise.all(doneAtEnd)).toEqual([true, true, true, true]);
  });

  it('takes as long as the slowest of its subscribers, not as their sum', async () => {
    const { broker, name } = bench();
    const service = broker({ gracefulTimeout: 10_000 });
    const ends: (() => void)[] = [];
    for (const kind of KINDS) {
      service.subscriber(
        addresses(kind, name(kind)).from,
        () => new Promise<void>((resolve) => void ends.push(resolve)),
      );
    }
    await service.start();
    for (const kind of KINDS) await service.publish(1, addresses(kind, name(kind)).to);
    await eventually(() => expect(ends).toHaveLength(4));
    const stopping = service.stop();
    // All of them stop while the handler of each still runs.
    await eventually(async () => {
      const states = (await service.health()).subscribers.map(({ state }) => state);
      expect(states).toEqual(KINDS.map(() => 'stopped'));
    });
    for (const end of ends) end();
    await stopping;
  });

  it.each([{ maxRecords: 10 }, { maxRecords: 10, concurrency: 2 }])(
    'puts list items that were fetched and not started back, in order (%o)',
    async (options) => {
      const { broker, name } = bench();
      const client = broker();
      const service = broker();
      const [started, rest]: [unknown[], unknown[]] = [[], []];
      const ends: (() => void)[] = [];
      service.subscriber({ list: name(), ...options }, (body) => {
        started.push(body);
        return new Promise<void>((resolve) => void ends.push(resolve));
      });
      const sent = Array.from({ length: 12 }, (_, i) => i);
      await client.publishBatch(sent, { list: name() });
      await service.start();
      await eventually(() => expect(started).toHaveLength(options.concurrency ?? 1));
      const stopping = service.stop();
      for (const end of ends) end();
      await stopping;
      const next = broker();
      next.subscriber({ list: name() }, (body) => void rest.push(body));
      await next.start();
      await client.publish('end', { list: name() });
      await eventually(() => expect(rest.at(-1)).toBe('end'));
      expect([...started, ...rest]).toEqual([...sent, 'end']);
    },
  );

  it('leaves entries that were fetched and not started to the next start of a group', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.connect();
    const address = { stream: name(), group: 'g', consumer: 'c' };
    const service = broker();
    const seen: unknown[] = [];
    let end: (() => void) | undefined;
    service.subscriber({ ...address, maxRecords: 10 }, (body) => {
      seen.push(body);
      return new Promise<void>((resolve) => void (end = resolve));
    });
    await client.publishBatch([1, 2, 3, 4], { stream: name() });
    await service.start();
    await eventually(() => expect(end).toBeDefined());
    const stopping = service.stop();
    end?.();
    await stopping;
    expect(seen).toEqual([1]);
    const next = broker();
    next.subscriber({ ...address }, (body) => void seen.push(body));
    await next.start();
    await client.publish('end', { stream: name() });
    await eventually(() => expect(seen).toEqual([1, 2, 3, 4, 'end']));
  });

  it('leaves no consumer behind that would go on taking items', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.connect();
    for (let round = 0; round < 5; round++) {
      const service = broker();
      const seen: unknown[] = [];
      service.subscriber({ list: name() }, (body) => void seen.push(body));
      await service.start();
      await client.publish('for the service', { list: name() });
      await eventually(() => expect(seen).toEqual(['for the service']));
      // An item may arrive while the stop is under way: it is handled or it stays.
      const racing = client.publish('racing', { list: name() });
      await service.stop();
      await racing;
      await client.publish('after', { list: name() });
      const handled = seen.slice(1);
      await using consumer = await client.subscribe({ list: name() });
      const left: unknown[] = [];
      while (left.at(-1) !== 'after') {
        left.push((await consumer.next({ timeout: 20_000 }))?.body);
      }
      expect([...handled, ...left]).toEqual(['racing', 'after']);
    }
  });

  it('keeps an answer whose caller is away, before it closes', async () => {
    const { broker, name } = bench();
    const [service, client] = [broker({ gracefulTimeout: 10_000 }), broker()];
    let end: (() => void) | undefined;
    service.subscriber(name(), () => new Promise<void>((resolve) => void (end = resolve)));
    await service.start();
    const call = client.publish(1, { channel: name(), rpc: true, timeout: 40_000 });
    const closed = call.catch((error: unknown) => error);
    await eventually(() => expect(end).toBeDefined());
    await client.stop();
    expect(await closed).toMatchObject({ code: 'BROKER_CLOSED' });
    end?.();
    await service.stop();
    await later(20);
    // What could not be kept would have been logged.
    expect(takeLogs()).toEqual([]);
  });

  it('lets a handler that finishes during it publish', async () => {
    const { broker, name } = bench();
    const [service, client] = [broker({ gracefulTimeout: 10_000 }), broker()];
    const seen: unknown[] = [];
    client.subscriber({ list: name('out') }, (body) => void seen.push(body));
    await client.start();
    let end: (() => void) | undefined;
    service.subscriber({ list: name('in') }, async (_, ctx) => {
      await new Promise<void>((resolve) => void (end = resolve));
      await ctx.publish('last words', { list: name('out') });
    });
    await service.start();
    await client.publish(1, { list: name('in') });
    await eventually(() => expect(end).toBeDefined());
    const stopping = service.stop();
    end?.();
    await stopping;
    await eventually(() => expect(seen).toEqual(['last words']));
  });
});

it('a stop acknowledges what its handlers have finished', async () => {
  const [stream, client, broker] = [unique(), rawClient(), newBroker(redisUrl())];
  let handled = 0;
  broker.subscriber({ stream, group: 'g', consumer: 'c' }, () => void handled++);
  await broker.start();
  await broker.publishBatch([1, 2, 3], { stream });
  await eventually(() => expect(handled).toBe(3));
  await broker.stop();
  // The server may carry out last what it was sent before the end.
  await eventually(async () => {
    expect(((await client.xpending(stream, 'g')) as [number])[0]).toBe(0);
  });
});
