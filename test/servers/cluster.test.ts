import { Cluster, type Redis } from 'ioredis';
import { ConnectionError, RedisBroker, SetupError, type RedisConnection } from 'redstart';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { deferred } from '../../src/internal/deferred.ts';
import { slotOf } from '../../src/transport/redis/cluster.ts';
import { TIMINGS, timingsOption } from '../../src/transport/timings.ts';
import { STRUCTURES, everywhere, type Structure } from '../faults/echo.ts';
import { dashboard } from 'redstart/dashboard';
import { CommandLine } from '../cli/command-line.ts';
import { Watch, handle, send, stepsOf, work } from '../order/steps.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { ownServer, unique } from '../support/redis.ts';
import { startCluster, type Node, type TestCluster } from '../support/servers.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
}, 240_000);
afterAll(() => cluster?.stop());

const SHARINGS = ['dedicated', 'shared'] as const;

const broker = (options?: object): RedisBroker => newBroker({ cluster: cluster.nodes }, options);

/** Names whose slots are on all three masters. */
async function spread(prefix: string): Promise<string[]> {
  const names = new Map<number, string>();
  for (let i = 0; names.size < 3; i++) {
    const name = `${prefix}:${i}`;
    const { port } = await cluster.masterOf(name);
    if (!names.has(port)) names.set(port, name);
  }
  return [...names.values()];
}

describe('on a cluster', () => {
  it('the processes answer each other, and the dashboard finds places on every node', async () => {
    const prefix = `${unique('cluster')}:`;
    const [worker, own] = [broker({ prefix, control: true }), broker({ prefix })];
    worker.subscriber({ list: 'jobs' }, () => undefined);
    await worker.start();
    const names = await spread(`${prefix}found`);
    for (const name of names) await own.publish(1, { list: name.slice(prefix.length) });
    const page = dashboard(own, { logger: false });
    await eventually(async () => {
      const response = await page(new Request('http://localhost/?view=state'));
      const { rows } = (await response.json()) as { rows: { name: string; waiting: number }[] };
      const waiting = rows.filter((row) => row.waiting === 1).map(({ name }) => name);
      expect(waiting.toSorted()).toEqual(names.toSorted());
    });
    // On a cluster each question waits for as long as it may: again where a busy machine answered later.
    await eventually(async () =>
      expect(await own.fleet.pause({ list: 'jobs' }, { timeout: 1_000 })).toMatchObject({
        processes: 1,
        problems: [],
      }),
    );
    await eventually(async () => {
      const states = await own.fleet.status();
      expect(states.flatMap(({ subscribers }) => subscribers)).toMatchObject([{ state: 'paused' }]);
    });
  });

  it('the command line lists and reads what is on every node', { timeout: 120_000 }, async () => {
    const prefix = `${unique('cli')}:`;
    const own = broker({ prefix });
    const names = await spread(`${prefix}s`);
    const streams = names.map((name) => name.slice(prefix.length));
    for (const stream of streams) {
      own.subscriber({ stream, group: 'g', retry: false }, () => {
        throw new RangeError('no');
      });
      own.subscriber(`${stream}.news`, () => undefined);
    }
    await own.start();
    for (const stream of streams) await own.publish({ stream }, { stream });
    await eventually(async () => {
      const counts = streams.map((stream) => own.deadLetters({ stream: `${stream}:dead` }).count());
      expect(await Promise.all(counts)).toEqual([1, 1, 1]);
    });
    takeLogs();
    const cli = await CommandLine.install();
    onTestFinished(() => cli.remove());
    const nodes = cluster.nodes.map(({ host, port }) => `${host}:${port}`);
    const url = `redis+cluster://${nodes.slice(0, 2).join(',')}`;
    const run = async (...args: string[]): Promise<unknown[]> => {
      const { code, stdout, stderr } = await cli.run([...args, '--prefix', prefix, '--url', url]);
      expect([code, stderr]).toEqual([0, '']);
      return stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
    };
    const places = (await run('ls', '--json')) as { kind: string; name: string; length: number }[];
    const of = (...ends: string[]) =>
      streams.flatMap((name) => ends.map((end) => prefix + name + end));
    const found = (kind: string) => places.filter((place) => place.kind === kind);
    expect(found('stream').map(({ name }) => name)).toEqual(of('', ':dead').toSorted());
    expect(found('channel').map(({ name, length }) => [name, length])).toEqual(
      of('.news').map((name) => [name, 1]),
    );
    await Promise.all(
      streams.map(async (stream) => {
        expect(await run('peek', stream)).toMatchObject([{ body: { stream } }]);
        const groups = await run('groups', 'ls', stream, '--json');
        expect(groups).toMatchObject([{ name: 'g', pending: 0 }]);
        const letters = await run('dlq', 'ls', `${stream}:dead`);
        expect(letters).toMatchObject([{ error: 'RangeError: no' }]);
      }),
    );
    // As one server, a node has not what is on the others.
    const masters = await Promise.all(names.map((name) => cluster.masterOf(name)));
    const elsewhere = masters.findIndex(({ port }) => port !== cluster.nodes[0]?.port);
    const away = streams[elsewhere] as string;
    const one = await cli.run(['peek', away, '--prefix', prefix, '--url', `redis://${nodes[0]}`]);
    expect(one.code).toBe(2);
    expect(one.stderr).toContain(`is a node of a cluster: give redis+cluster://${nodes[0]}`);
  });

  it.each(STRUCTURES)(
    'a call over a %s is answered, whichever node it goes to',
    async (structure) => {
      const [service, caller] = [broker(), broker()];
      const places = Array.from({ length: 5 }, () => everywhere(service, (body) => [body]));
      await service.start();
      for (const [n, place] of places.entries()) {
        const call = { ...place[structure], rpc: true, timeout: 10_000 } as const;
        expect(await caller.publish(n, call)).toEqual([n]);
      }
    },
  );

  it('delayed and repeated messages come on every node, once each, and can be cancelled', async () => {
    const service = broker();
    const got: string[] = [];
    const names = await spread(unique());
    const places = names.flatMap((name) => [
      { list: `{${name}}:l` },
      { stream: `{${name}}:s` },
      { channel: `${name}:c` },
      { channel: `${name}:x`, sharded: true },
    ]);
    for (const place of places)
      service.subscriber(place as { list: string }, (body) => void got.push(String(body)));
    await service.start();
    const sender = broker();
    const expected: string[] = [];
    const handles: unknown[] = [];
    for (const [n, place] of places.entries()) {
      const to = place as { list: string };
      expected.push(`${n} a`, `${n} b`, `${n} c`);
      await sender.publish(`${n} a`, { ...to, delay: 100 });
      await sender.publishBatch([`${n} b`], { ...to, at: new Date() });
      await sender
        .pipeline()
        .publish(`${n} c`, { ...to, delay: 0, expires: 60_000 })
        .send();
      const handle = await sender.publish(`${n} never`, { ...to, delay: 3_600_000 });
      const waiting = await service.delayed(to).list();
      expect(waiting.map(({ id }) => id)).toContain(handle);
      expect(await service.cancel(to, handle)).toBe(true);
      if ('channel' in place) continue;
      const later = { ...to, id: 'with an id', delay: 150 };
      for (let i = 0; i < 2; i++) handles.push(await sender.publish(`${n} d`, later));
      expected.push(`${n} d`);
    }
    await eventually(() => expect(got.toSorted()).toEqual(expected.toSorted()));
    expect(new Set(handles)).toEqual(new Set(['with an id']));
    const to = { list: `{${names[0]}}:l` };
    const series = [service, sender].map((one) => one.every(200, { ...to, id: 'e', body: 'tick' }));
    await eventually(() => expect(got.filter((body) => body === 'tick').length).toBeGreaterThan(1));
    await series[0]?.remove();
    const transaction = sender.pipeline({ transaction: true }).publish(1, { ...to, delay: 5 });
    const refused = await transaction.send().catch((error: Error) => error);
    expect(String(refused)).toContain('on a cluster a transaction cannot have messages');
  });

  it('streams on every node are trimmed past a group that nobody reads, and health names it', async () => {
    const [service, sender] = [broker({ trimPast: 100 }), broker()];
    const names = await spread(unique('trimmed'));
    for (const stream of names) {
      service.subscriber({ stream, group: 'work', maxlen: 50 }, () => undefined);
      await sender.publishBatch(Array.from({ length: 400 }), { stream });
      await (sender.client as Cluster).xgroup('CREATE', stream, 'audit', '0');
    }
    await service.start();
    await eventually(async () => {
      for (const stream of names) {
        await sender.publish('one more', { stream });
        expect(await (sender.client as Cluster).xlen(stream)).toBeLessThan(300);
      }
    });
    const { status, problems } = await service.health();
    expect([status, problems.length]).toEqual(['yellow', names.length]);
    for (const problem of problems) expect(problem).toMatch(/group 'audit', so 'trimPast'/);
  });

  it.each(SHARINGS)(
    'lists, streams and groups on every node hand over what is sent to them, with %s connections',
    async (connections) => {
      const service = broker({ connections });
      const names = await spread(unique());
      const got: string[] = [];
      for (const name of names) {
        service.subscriber(
          { list: `{${name}}:list` },
          (body) => void got.push(`list ${String(body)}`),
        );
        service.subscriber(
          { stream: `{${name}}:all` },
          (body) => void got.push(`all ${String(body)}`),
        );
        service.subscriber(
          { stream: `{${name}}:group`, group: 'g', batch: true },
          (bodies: unknown[]) => void got.push(...bodies.map((body) => `group ${String(body)}`)),
        );
      }
      await service.start();
      const publisher = broker();
      for (const [n, name] of names.entries()) {
        await publisher.publishBatch([`${n}a`, `${n}b`], { list: `{${name}}:list` });
        await publisher.publishBatch([`${n}a`, `${n}b`], { stream: `{${name}}:all` });
        await publisher.publishBatch([`${n}a`, `${n}b`], { stream: `{${name}}:group` });
      }
      const expected = ['list', 'all', 'group'].flatMap((kind) =>
        names.flatMap((_, n) => [`${kind} ${n}a`, `${kind} ${n}b`]),
      );
      await eventually(() => expect(got.toSorted()).toEqual(expected.toSorted()));
    },
  );

  it(
    'reliable lists on every node hand over what is sent, and what a dead consumer held',
    { timeout: 180_000 },
    async () => {
      const service = broker();
      const publisher = broker();
      const names = await spread(unique());
      const got = new Map<string, unknown[]>(names.map((name) => [name, []]));
      for (const name of names) {
        // Given up by a process that died long ago.
        const keys = `redstart:list:{${name}}`;
        await publisher.connect();
        await publisher.client.hset(`${keys}:consumers`, 'dead', '1');
        await publisher.client.hset(`${keys}:held:dead`, '1-0:1', '"held"');
        service.subscriber(
          { list: name, reliable: true },
          (body) => void got.get(name)?.push(body),
        );
      }
      await service.start();
      for (const name of names) await publisher.publishBatch([1, 2, 3], { list: name });
      for (const name of names) {
        const all = [1, 2, 3, 'held'];
        // It counts as dead when it has given no sign of life for nine seconds.
        await eventually(() => expect(got.get(name)?.toSorted()).toEqual(all));
      }
      await service.stop();
      for (const name of names) {
        const left = await publisher.client.exists(`redstart:list:{${name}}:held:dead`);
        expect([left, await publisher.client.llen(name)]).toEqual([0, 0]);
      }
    },
  );

  it('ids hold on every node: sent once, handled once, answered once', async () => {
    const [service, caller] = [broker(), broker()];
    const names = await spread(unique());
    const seen: unknown[] = [];
    let runs = 0;
    for (const name of names) {
      const from = { stream: `${name}:s`, group: 'g', once: 60_000 };
      service.subscriber(from, (body) => void seen.push(body));
      service.subscriber({ list: `${name}:l`, reliable: true }, () => ++runs);
    }
    // A duplicate waits while the first one is handled.
    const handled: unknown[] = [];
    const release = deferred<void>();
    for (const list of names.map((name) => `${name}:o`))
      service.subscriber({ list, reliable: true, once: 60_000, concurrency: 3 }, (body) => {
        handled.push(body);
        return release.promise;
      });
    await service.start();
    for (const list of names.map((name) => `${name}:o`)) {
      for (const id of ['a', 'a', 'b'])
        await caller.publish(`${list} ${id}`, { list, headers: { message_id: id } });
    }
    await eventually(() => expect(handled).toHaveLength(6));
    release.resolve();
    for (const [n, name] of names.entries()) {
      const to = { stream: `${name}:s`, id: 'a' };
      expect(await caller.publish(n, to)).toBe(await caller.publish(n, to));
      await caller.publish(-1, { stream: `${name}:s`, headers: { message_id: 'a' } });
      const call = { list: `${name}:l`, rpc: true, id: 'c', timeout: 10_000 } as const;
      const [one, two] = await Promise.all([caller.publish(n, call), caller.publish(n, call)]);
      expect([one, two, await caller.answer('c', { list: `${name}:l` })]).toEqual([
        ...[runs, runs, runs],
      ]);
    }
    expect(runs).toBe(3);
    await eventually(() =>
      expect(new Map(seen.map((body) => [body, seen.filter((b) => b === body).length]))).toEqual(
        new Map<unknown, number>([
          [0, 1],
          [1, 1],
          [2, 1],
        ]),
      ),
    );
    await eventually(async () => {
      const { subscribers } = await service.health();
      expect(subscribers.map(({ held }) => held ?? 0)).toEqual(subscribers.map(() => 0));
    });
    expect(new Set(handled).size).toBe(6);
    expect(handled).toHaveLength(6);
  });

  it('ordered subscribers on every node keep the order of each key, through retries, a stop and a start', async () => {
    const names = await spread(unique());
    const places = names.flatMap((name) => [
      { to: { stream: `${name}:s` }, from: { stream: `${name}:s`, group: 'g', consumer: 'one' } },
      { to: { list: `${name}:l` }, from: { list: `${name}:l`, reliable: true } },
    ]);
    const watches = places.map(() => new Watch());
    const failed = new Set<Watch>();
    const start = async (): Promise<RedisBroker> => {
      const service = broker();
      for (const [n, { from }] of places.entries()) {
        const watch = watches[n] as Watch;
        const options = { concurrency: 4, retry: { backoff: 300 } };
        handle(service, from, options, async (step) => {
          watch.begin(step);
          await work();
          const isFirst = step.key === 'a' && step.n === 1 && !failed.has(watch);
          if (!isFirst) return watch.done(step);
          failed.add(watch);
          watch.failed(step);
          throw new Error('not yet');
        });
      }
      await service.start();
      return service;
    };
    const sender = broker();
    for (const { to } of places) await send(sender, to, stepsOf(['a', 'b', 'c', 'd', 'e'], 8));
    const first = await start();
    await eventually(() => expect(failed.size).toBe(places.length));
    await first.stop();
    await start();
    await eventually(() =>
      expect(watches.map(({ finished }) => finished)).toEqual(places.map(() => 40)),
    );
    expect(watches.flatMap(({ mistakes }) => mistakes)).toEqual([]);
    expect(takeLogs()).toHaveLength(places.length);
  });

  it('a rate holds on every node, over two processes', async () => {
    const names = await spread(unique());
    const places = names.flatMap((name) => [
      { to: { stream: `${name}:s` }, from: { stream: `${name}:s`, group: 'g' } },
      { to: { list: `${name}:r` }, from: { list: `${name}:r`, reliable: true } },
      { to: { list: `${name}:l` }, from: { list: `${name}:l` } },
    ]);
    const moments = places.map((): number[] => []);
    const rate = { limit: 20, per: 1_000 };
    for (const service of [broker(), broker()]) {
      for (const [n, { from }] of places.entries())
        service.subscriber({ ...from, rate, concurrency: 10 } as never, () => {
          moments[n]?.push(performance.now());
        });
      await service.start();
    }
    const sender = broker();
    const sent: number[] = [];
    for (const { to } of places) {
      sent.push(performance.now());
      await sender.publishBatch([1, 2, 3, 4, 5, 6], to as never);
    }
    await eventually(
      () => expect(moments.map(({ length }) => length)).toEqual(places.map(() => 6)),
      40_000,
    );
    // The first permit is not given before the first message is sent. Five more take 250 ms; one may come 50 ms early.
    for (const [n, all] of moments.entries())
      expect((all.at(-1) as number) - (sent[n] as number)).toBeGreaterThan(190);
  });

  it('channels and patterns hear everything in the order that one publisher sent it', async () => {
    const service = broker();
    const name = unique();
    const heard: unknown[] = [];
    const levels: unknown[] = [];
    service.subscriber(name, (body) => void heard.push(body));
    service.subscriber(`${name}.{level}`, (_, { path }) => void levels.push(path['level']));
    await service.start();
    const publisher = broker();
    await publisher.connect();
    const numbers = Array.from({ length: 300 }, (_, n) => n);
    await Promise.all(numbers.map((n) => publisher.publish(n, name)));
    await publisher.publish('', `${name}.warn`);
    await eventually(() => expect(heard).toHaveLength(300));
    expect(heard).toEqual(numbers);
    await eventually(() => expect(levels).toEqual(['warn']));
  });

  it('a channel’s call is not refused because the node that it was sent to has no subscriber', async () => {
    const service = broker();
    const names = await spread(unique());
    for (const name of names) service.subscriber(name, () => name);
    await service.start();
    const caller = broker();
    for (const channel of names) {
      expect(await caller.publish(1, { channel, rpc: true, timeout: 10_000 })).toBe(channel);
    }
  });

  it('gather returns the answers of all who listen when its time is up', async () => {
    const services = [broker(), broker(), broker()];
    const channel = unique();
    for (const [n, service] of services.entries()) {
      service.subscriber(channel, () => n);
      await service.start();
    }
    const asking = broker();
    await asking.connect();
    // A busy machine needs longer for three answers.
    let timeout = 700;
    let gathered = await asking.gather('who?', { channel, timeout });
    while (gathered.answers.length < 3 && timeout < 8_000)
      gathered = await asking.gather('who?', { channel, timeout: (timeout *= 2) });
    const { answers, missing } = gathered;
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set([0, 1, 2]));
    expect(missing).toEqual([]);
  });

  it('a stream of answers arrives whole', async () => {
    const service = broker();
    const list = unique();
    service.subscriber({ list }, async function* (count: number) {
      for (let n = 0; n < count; n++) yield n;
    });
    await service.start();
    const items: unknown[] = [];
    for await (const item of broker().requestMany(200, { list })) items.push(item);
    expect(items).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  it('an answer is kept for a caller that cannot be reached, though the service is gone when it is back', async () => {
    const proxied = await throughProxies();
    const caller = newBroker(proxied.connection, { logger: false });
    const service = broker();
    const list = unique();
    const running = deferred<void>();
    const release = deferred<string>();
    service.subscriber({ list }, () => {
      running.resolve();
      return release.promise;
    });
    await service.start();
    const answered = caller.publish(1, { list, rpc: true, timeout: 15_000 });
    await running.promise;
    const before = await keptAnswers();
    for (const proxy of proxied.proxies) proxy.cutOff();
    release.resolve('kept');
    await eventually(async () => expect(await keptAnswers()).toBe(before + 1));
    await service.stop();
    for (const proxy of proxied.proxies) proxy.heal();
    expect(await answered).toBe('kept');
  });

  it('connections that are half-open are noticed within 5 s, and calls answered again', async () => {
    const proxied = await throughProxies();
    const service = newBroker(proxied.connection, { logger: false });
    const places = everywhere(service, (body) => body);
    await service.start();
    const caller = broker({ logger: false });
    const call = (structure: Structure, timeout = 1_000): Promise<unknown> =>
      caller.publish(1, { ...places[structure], rpc: true, timeout });
    for (const structure of STRUCTURES) expect(await call(structure, 20_000)).toBe(1);
    for (const proxy of proxied.proxies) proxy.halfOpen();
    const began = performance.now();
    // Redis may give an item of a list to the reader that is gone.
    const answered = STRUCTURES.map((structure) => eventually(() => call(structure), 40_000));
    expect(await Promise.all(answered)).toEqual([1, 1, 1]);
    // 5 s, then new connections, and what a busy machine adds. TCP itself would need minutes.
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  it('stop ends blocked readers at once, on whichever node they block', async () => {
    // So long that a busy machine cannot be taken for a read that came to its end.
    const block = 60_000;
    const service = broker({ [timingsOption]: { ...TIMINGS, block } });
    for (const name of await spread(unique())) {
      service.subscriber({ list: `{${name}}:l` }, () => undefined);
      service.subscriber({ stream: `{${name}}:s`, group: 'g' }, () => undefined);
    }
    await service.start();
    await eventually(async () => {
      const blocked = await Promise.all(
        cluster.nodes.map(({ port }) => cluster.on(port, blockedClients)),
      );
      return blocked.every((count) => count >= 2);
    });
    const began = performance.now();
    await service.stop();
    // Redis would hold the reads for a minute.
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it.each(SHARINGS)(
    'a slot that moves to another node takes its readers with it, with %s connections',
    async (connections) => {
      const service = broker({ connections });
      const name = unique();
      const got: string[] = [];
      service.subscriber({ list: `{${name}}:l` }, (body: string) => void got.push(body));
      service.subscriber({ stream: `{${name}}:s`, group: 'g' }, (body: string) => {
        got.push(body);
      });
      await service.start();
      const publisher = broker();
      await publisher.publish('list before', { list: `{${name}}:l` });
      await publisher.publish('stream before', { stream: `{${name}}:s` });
      await eventually(() => expect(got).toHaveLength(2));
      await cluster.moveSlot(`{${name}}:l`, [`{${name}}:l`, `{${name}}:s`]);
      await publisher.publish('list after', { list: `{${name}}:l` });
      await publisher.publish('stream after', { stream: `{${name}}:s` });
      // As a set: an entry whose XACK met the move is delivered again, which is what at least once means.
      await eventually(() =>
        expect(new Set(got.slice(2))).toEqual(new Set(['list after', 'stream after'])),
      );
    },
  );

  it('sharded channels carry messages and calls on every node, and count their receivers', async () => {
    const [service, caller] = [broker(), broker()];
    const names = await spread(unique());
    for (const channel of names) service.subscriber({ channel, sharded: true }, (body) => [body]);
    await service.start();
    for (const channel of names) {
      const to = { channel, sharded: true };
      expect(await caller.publish(1, to)).toBe(1);
      expect(await caller.publish(2, { ...to, rpc: true, timeout: 10_000 })).toEqual([2]);
    }
    const nobody = { channel: unique(), sharded: true, rpc: true, timeout: 10_000 } as const;
    await expect(caller.publish(1, nobody)).rejects.toMatchObject({ code: 'NO_RESPONDERS' });
  });

  it('a sharded channel whose slot moves is subscribed to again where it went', async () => {
    const service = broker();
    const channel = unique();
    const heard = new Set<unknown>();
    service.subscriber({ channel, sharded: true }, (body) => void heard.add(body));
    await service.start();
    const publisher = broker();
    expect(await publisher.publish('before', { channel, sharded: true })).toBe(1);
    const source = await cluster.masterOf(channel);
    await cluster.moveSlot(channel, []);
    expect((await cluster.masterOf(channel)).port).not.toBe(source.port);
    await eventually(async () => {
      await publisher.publish('after', { channel, sharded: true });
      return heard.has('after');
    });
  });

  it('a client of the caller’s own is used, and never closed', async () => {
    const client = new Cluster(cluster.nodes);
    onTestFinished(() => client.disconnect());
    const own = newBroker(client);
    const places = everywhere(own, (body) => body);
    await own.start();
    expect(own.client).toBe(client);
    for (const structure of STRUCTURES) {
      const call = { ...places[structure], rpc: true, timeout: 10_000 } as const;
      expect(await own.publish(structure, call)).toBe(structure);
    }
    await own.stop();
    expect(client.status).toBe('ready');
    expect(await client.set(unique(), 1)).toBe('OK');
  });

  it('slots are counted as Redis counts them', async () => {
    for (const name of [
      'a',
      'foo{bar}baz',
      '{}x',
      '{a}{b}',
      'x{',
      'ünï{cödé}',
      'foo{{bar}}zap',
      '',
    ]) {
      const { port } = cluster.nodes[0] as { port: number };
      expect([name, slotOf(name)]).toEqual([
        name,
        await cluster.on(port, (client) => client.cluster('KEYSLOT', name)),
      ]);
    }
  });
});

describe('a cluster that cannot be used', () => {
  it('fails the start, naming its nodes and the cause', async () => {
    const ports = [await freePort(), await freePort()];
    const nodes = ports.map((port) => ({ host: '127.0.0.1', port }));
    const began = performance.now();
    const error = await newBroker({ cluster: nodes })
      .start()
      .catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(ConnectionError);
    for (const port of ports) expect((error as Error).message).toContain(`127.0.0.1:${port}`);
    expect((error as Error).message).toContain('ECONNREFUSED');
    // As opposed to never; a busy machine adds seconds.
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it('fails the start where a node wants a password, and where it is no cluster', async () => {
    // By default the bus is 10 000 above the port, among those that the system hands out.
    const bus = ['--cluster-port', String(await freePort())];
    const guarded = await ownServer(['--cluster-enabled', 'yes', ...bus, '--requirepass', 'right']);
    const node = { host: '127.0.0.1', port: guarded.port };
    for (const redisOptions of [{}, { password: 'wr0ng' }]) {
      const error = await newBroker({ cluster: [node], redisOptions })
        .start()
        .catch((e: Error) => e);
      expect(error).toBeInstanceOf(ConnectionError);
      expect((error as Error).message).toMatch(/NOAUTH|WRONGPASS/);
      expect((error as Error).message).not.toContain('wr0ng');
    }
    const single = await ownServer();
    const error = await newBroker({ cluster: [{ host: '127.0.0.1', port: single.port }] })
      .start()
      .catch((e: Error) => e);
    expect((error as Error).message).toContain('cluster support disabled');
  });

  it.each([
    [{ cluster: [] }, /one node or more/],
    [{ cluster: [{ port: 1 }], password: 'x' }, /redisOptions: \{ password \}/],
    [{ cluster: [{ port: 1 }], keyPrefix: 'x' }, /prefix/],
  ])('is refused at once where its options make no sense (%j)', (options, text) => {
    expect(() => new RedisBroker(options as never)).toThrow(SetupError);
    expect(() => new RedisBroker(options as never)).toThrow(text);
  });
});

/** The cluster behind proxies, one for each node. */
async function throughProxies(): Promise<{ proxies: FaultProxy[]; connection: RedisConnection }> {
  const proxies = await Promise.all(cluster.nodes.map(({ port }) => FaultProxy.to(port)));
  const fronts = proxies.map((proxy) => ({ host: '127.0.0.1', port: proxy.port }));
  const natMap = Object.fromEntries(
    cluster.nodes.map(({ host, port }, i) => [`${host}:${port}`, fronts[i] as Node]),
  );
  return { proxies, connection: { cluster: fronts, natMap } };
}

/** Answers that wait for callers with a sharded inbox, on all nodes. */
async function keptAnswers(): Promise<number> {
  const keys = await Promise.all(
    cluster.nodes.map(({ port }) => cluster.on(port, (client) => client.keys('*/+}:kept'))),
  );
  return keys.flat().length;
}

async function blockedClients(client: Redis): Promise<number> {
  return Number(/blocked_clients:(\d+)/.exec(await client.info('clients'))?.[1]);
}
