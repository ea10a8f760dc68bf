import type { BrokerOptions, Health, RedisBroker } from 'redstart';
import { expect, it, vi } from 'vitest';
import { healthOf } from '../../src/broker/health.ts';
import { deferred } from '../../src/internal/deferred.ts';
import { ServerClock } from '../../src/transport/server-clock.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient } from '../support/redis.ts';

function stopped(health: Health): void {
  expect(health).toMatchObject({ status: 'red', connected: false });
  expect(health.subscribers).toMatchObject([{ state: 'stopped' }]);
  expect(health.problems).toHaveLength(1);
}

onBothBackends("a broker's health", (bench) => {
  it('is green while all is well, says what each subscriber has done, and is plain data', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ channel: name('c'), title: 'prices' }, () => undefined);
    service.subscriber({ list: name('l'), title: 'orders' }, () => undefined);
    service.subscriber({ stream: name('s'), title: 'events' }, () => undefined);
    service.subscriber({ stream: name('g'), group: 'g', title: 'work' }, () => undefined);
    await service.start();
    await service.publish(1, name('c'));
    await service.publish(1, { list: name('l') });
    await service.publish(1, { stream: name('s') });
    for (const n of [1, 2]) await service.publish(n, { stream: name('g') });
    const health = await eventually(async () => {
      const now = await service.health();
      expect(now.subscribers.map(({ handled }) => handled)).toEqual([1, 1, 1, 2]);
      expect(now.subscribers.map(({ pending }) => pending)).toEqual([
        ...[undefined, undefined, undefined],
        0,
      ]);
      return now;
    });
    expect(health).toMatchObject({ status: 'green', connected: true, problems: [] });
    const common = { state: 'running', running: 0, longest: 0 };
    expect(health.subscribers).toMatchObject([
      { address: `channel '${name('c')}'`, title: 'prices', waiting: 0, dropped: 0, ...common },
      { address: `list '${name('l')}'`, title: 'orders', waiting: 0, ...common },
      { address: `stream '${name('s')}'`, title: 'events', ...common },
      { address: `stream '${name('g')}'`, title: 'work', lag: 0, pending: 0, ...common },
    ]);
    expect(JSON.parse(JSON.stringify(health))).toEqual(health);
  });

  it('is red, and its subscribers stopped, before the start and after a stop', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), () => undefined);
    stopped(await service.health());
    await service.start();
    expect((await service.health()).status).toBe('green');
    await service.stop();
    stopped(await service.health());
  });

  it('is green where a subscriber was stopped on purpose, and knows it no more', async () => {
    const { broker, name } = bench();
    const service = broker();
    const subscriber = service.subscriber(name(), () => undefined);
    service.subscriber({ list: name('l') }, () => undefined);
    await service.start();
    await subscriber.stop();
    const health = await service.health();
    expect(health.status).toBe('green');
    expect(health.subscribers.map(({ state }) => state)).toEqual(['running']);
  });

  it('is red where a subscriber that came later could not be started, and says why', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    service.subscriber({ stream: name('missing'), declare: false }, () => undefined);
    await eventually(async () => {
      const health = await service.health();
      expect(health).toMatchObject({ status: 'red', connected: true });
      expect(health.subscribers).toMatchObject([{ state: 'failed' }]);
      expect(health.problems.join()).toContain('does not exist');
    });
    expect(takeLogs()).toMatchObject([{ level: 'error' }]);
  });

  it('counts what waits: in the mailbox of a channel, in a list, in a group', async () => {
    const { broker, name } = bench();
    const service = broker();
    const ends: (() => void)[] = [];
    const slow = (): Promise<void> => new Promise((resolve) => void ends.push(resolve));
    service.subscriber(name('c'), slow);
    service.subscriber({ list: name('l'), maxRecords: 1 }, slow);
    service.subscriber({ stream: name('g'), group: 'g', maxRecords: 1 }, slow);
    await service.start();
    for (let n = 0; n < 4; n++) {
      await service.publish(n, name('c'));
      await service.publish(n, { list: name('l') });
      await service.publish(n, { stream: name('g') });
    }
    await eventually(async () => {
      const { status, subscribers } = await service.health();
      expect(status).toBe('green'); // busy is not ill
      expect(subscribers).toMatchObject([
        { running: 1, waiting: 3, dropped: 0 },
        { running: 1, waiting: 3 },
        { running: 1, lag: 3, pending: 1 },
      ]);
      expect(subscribers.every(({ longest }) => longest >= 0)).toBe(true);
    });
    const stopping = service.stop();
    const ending = setInterval(() => ends.splice(0).forEach((end) => end()), 5);
    await stopping;
    clearInterval(ending);
  });

  it('counts the items of a reliable list that wait for their next delivery', async () => {
    const { broker, name } = bench();
    const service = broker();
    const retry = { maxDeliveries: 3, backoff: 60_000 };
    service.subscriber({ list: name('l'), reliable: true, retry, deadLetter: false }, () => {
      throw new Error('not now');
    });
    await service.start();
    for (let n = 0; n < 5; n++) await service.publish(n, { list: name('l') });
    await eventually(async () => {
      const { status, subscribers } = await service.health();
      expect(status).toBe('green');
      expect(subscribers).toMatchObject([{ waiting: 0, handled: 5, parked: 5 }]);
    });
    expect(takeLogs()).toHaveLength(5);
  });

  it('is yellow while a handler has hung for a minute, unless it has a timeout', async () => {
    const { broker, name } = bench();
    const service = broker();
    let end: (() => void) | undefined;
    const hang = (): Promise<void> => new Promise((resolve) => void (end = resolve));
    service.subscriber({ list: name('l'), maxRecords: 1 }, hang);
    await service.start();
    await service.publish('hangs', { list: name('l') });
    await eventually(() => expect(end).toBeDefined());
    const { now } = performance;
    const clock = vi
      .spyOn(performance, 'now')
      .mockImplementation(() => now.call(performance) + 61_000);
    try {
      await service.publish('waits', { list: name('l') });
      const health = await service.health();
      expect(health).toMatchObject({ status: 'yellow', live: true, ready: true });
      expect(health.subscribers).toMatchObject([{ state: 'stuck', running: 1, waiting: 1 }]);
      expect(health.subscribers[0]?.longest).toBeGreaterThan(60_000);
      expect(health.problems.join()).toContain(name('l'));
    } finally {
      clock.mockRestore();
    }
    const release = end;
    end = undefined;
    release?.();
    await eventually(() => expect(end).toBeDefined());
    const health = await service.health();
    expect(health).toMatchObject({ status: 'green', subscribers: [{ state: 'running' }] });
    (end as (() => void) | undefined)?.();
  });

  it('is yellow while messages are dropped, which were too many for their handler', async () => {
    const { broker, name } = bench();
    const [service, client] = [broker(), broker()];
    let end: (() => void) | undefined;
    let handled = 0;
    service.subscriber(name(), () => {
      if (++handled === 1) return new Promise<void>((resolve) => void (end = resolve));
      return undefined;
    });
    await service.start();
    const messages = Array.from({ length: 66_000 }, () => 'x');
    await client.publish('first', name());
    await eventually(() => expect(end).toBeDefined());
    await client.publishBatch(messages, { channel: name() });
    const dropped = await eventually(async () => {
      const health = await service.health();
      expect(health.status).toBe('yellow');
      const [one] = health.subscribers;
      // Each is either waiting or counted as lost.
      expect((one?.waiting ?? 0) + (one?.dropped ?? 0)).toBe(messages.length);
      return one?.dropped as number;
    });
    expect(dropped).toBeGreaterThan(0);
    end?.();
    await eventually(() => expect(handled).toBe(messages.length + 1 - dropped));
    expect(takeLogs()).toMatchObject([{ level: 'warn' }]);
  });
});

it('is yellow while Redis is full, alive and ready, and green where it may evict', async () => {
  const server = await ownServer();
  const broker = newBroker(server.url);
  broker.subscriber({ list: 'x' }, () => undefined);
  await broker.start();
  const admin = rawClient(server.url);
  await admin.config('SET', 'maxmemory', '1');
  expect(await broker.health()).toMatchObject({
    ...{ status: 'yellow', live: true, ready: true },
    problems: ['Redis is full (maxmemory, noeviction): it refuses what is sent'],
  });
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
  expect((await broker.health()).problems).toEqual([]);
  await admin.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
  expect((await broker.health()).status).toBe('green');
  await admin.acl('SETUSER', 'default', '-info');
  expect((await broker.health()).status).toBe('green');
});

it('is yellow while the server is away, red after ten seconds, and answers at once', async () => {
  const server = await ownServer();
  const broker = newBroker(server.url);
  broker.subscriber({ list: 'x' }, () => undefined);
  broker.subscriber('x', () => undefined);
  await broker.start();
  await server.stop();
  await eventually(async () => {
    const began = performance.now();
    const health = await broker.health();
    expect(performance.now() - began).toBeLessThan(500);
    expect(health).toMatchObject({ status: 'yellow', connected: false });
    expect(health.subscribers.map(({ state }) => state)).toEqual(['retrying', 'retrying']);
    expect(health.subscribers[0]?.lastError?.message).toContain('ECONNREFUSED');
  });
  const { now } = performance;
  const clock = vi
    .spyOn(performance, 'now')
    .mockImplementation(() => now.call(performance) + 10_000);
  // A restart would not help.
  expect(await broker.health()).toMatchObject({ status: 'red', live: true, ready: false });
  clock.mockRestore();
  await ownServer(['--port', String(server.port)]);
  await eventually(async () => expect((await broker.health()).status).toBe('green'));
  await broker.stop();
  takeLogs();
});

it('does not take an answer that took long for a clock that is wrong', async () => {
  const clock = new ServerClock();
  const answer = deferred<number>();
  let time = 0;
  const steady = vi.spyOn(performance, 'now').mockImplementation(() => time);
  try {
    const heard = clock.hear(answer.promise, (told) => told);
    time = 4_000; // nobody knows when in this time the server looked at its clock
    answer.resolve(Date.now());
    await heard;
    expect(Math.abs(clock.skew ?? 0)).toBeGreaterThan(1_500);
    const transport = { downFor: 0, timed: { clock } } as object as Transport;
    const { problems } = await healthOf(
      ...([transport, true, () => [], () => ({}) as never, false] as const),
    );
    expect(problems).toEqual([]);
  } finally {
    steady.mockRestore();
  }
});

it('takes three seconds at most while the server is silent, and never rejects', async () => {
  const server = await ownServer();
  const broker = newBroker(server.url);
  broker.subscriber({ stream: 's', group: 'g' }, () => undefined);
  await broker.start();
  process.kill(server.pid, 'SIGSTOP');
  try {
    const began = performance.now();
    const health = await broker.health();
    // 3 s, and what a busy machine adds. Without a limit it would wait until the server goes on, which is never.
    expect(performance.now() - began).toBeLessThan(3_000 + 12_000);
    expect(health).toMatchObject({ status: 'yellow', connected: false });
    expect(health.problems.join()).toContain('did not answer');
  } finally {
    process.kill(server.pid, 'SIGCONT');
  }
  await eventually(async () => expect((await broker.health()).status).toBe('green'));
  await broker.stop();
  takeLogs();
});

it('sees one reader that cannot connect again while everything else can', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  const broker = newBroker(server.url);
  broker.subscriber({ list: 'l' }, () => undefined);
  broker.subscriber({ stream: 's' }, () => undefined);
  await broker.start();
  // No room for new connections, and one of the readers loses its own.
  await client.config('SET', 'maxclients', 1);
  const clients = (await client.client('LIST')) as string;
  const id = /^id=(\d+) .* cmd=blmpop /m.exec(clients)?.[1] as string;
  await client.client('KILL', 'ID', id);
  await eventually(async () => {
    const health = await broker.health();
    expect(health).toMatchObject({ status: 'yellow', connected: true });
    expect(health.subscribers.map(({ state }) => state)).toEqual(['retrying', 'running']);
    expect(health.subscribers[0]?.lastError?.message).toContain('not connected to 127.0.0.1');
  });
  await client.config('SET', 'maxclients', 100);
  await eventually(async () => expect((await broker.health()).status).toBe('green'));
  takeLogs();
});

it('tells the state of a group: who reads it, what is pending, what waits', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  const broker = newBroker(server.url);
  let end: (() => void) | undefined;
  broker.subscriber(
    { stream: 's', group: 'g', maxRecords: 1 },
    () => new Promise<void>((resolve) => void (end = resolve)),
  );
  await broker.start();
  await broker.publishBatch([1, 2, 3], { stream: 's' });
  await eventually(() => expect(end).toBeDefined());
  await client.xreadgroup('GROUP', 'g', 'dead', 'COUNT', 1, 'STREAMS', 's', '>');
  expect((await broker.health()).subscribers).toMatchObject([{ pending: 2, lag: 1, consumers: 2 }]);
  const stopping = broker.stop();
  end?.();
  await stopping;
});

onBothBackends("a stream's maxlen", (bench) => {
  async function behind(options: BrokerOptions): Promise<[Health, RedisBroker, string]> {
    const { broker, name } = bench();
    const service = broker(options);
    const stream = name('s');
    await service.connect();
    // A group whose service has gone.
    const gone = broker();
    gone.subscriber({ stream, group: 'audit' }, () => undefined);
    await gone.start();
    await gone.stop();
    service.subscriber({ stream, group: 'work', maxlen: 100, title: 'work' }, () => undefined);
    await service.start();
    await service.publishBatch(Array.from({ length: 500 }), { stream });
    const health = await eventually(async () => {
      const now = await service.health();
      expect(now.subscribers).toMatchObject([{ handled: 500, pending: 0 }]);
      return now;
    });
    return [health, service, stream];
  }

  it('that a group keeps from being kept turns health yellow and names the group', async () => {
    const [health, service, stream] = await behind({});
    expect(health).toMatchObject({ status: 'yellow', ready: true, live: true });
    expect(health.problems).toHaveLength(1);
    expect(health.problems[0]).toMatch(/'maxlen' 100 .* 500 entries: the group 'audit'/);
    expect(await service.groups(stream).remove('audit')).toBe(true);
    expect(await service.health()).toMatchObject({ status: 'green', problems: [] });
  });

  it('trims past a group that is silent for trimPast; health stays yellow and names it', async () => {
    const [, service, stream] = await behind({ trimPast: 50 });
    await eventually(async () => {
      await service.publish('one more', { stream });
      const { problems } = await service.health();
      expect(problems).toHaveLength(1);
      expect(problems[0]).toMatch(/group 'audit', so 'trimPast' has it ignored/);
    });
    await service.groups(stream).remove('audit');
    expect(await service.health()).toMatchObject({ status: 'green', problems: [] });
  });
});
