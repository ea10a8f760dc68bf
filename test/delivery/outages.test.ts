// What a handler needs is away for a while, or its process is: no message is lost, none is buried.
import type { Redis } from 'ioredis';
import type { BrokerOptions, RedisBroker } from 'redstart';
import { testBroker } from 'redstart/testing';
import { describe, expect } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import { timingsOption } from '../../src/transport/timings.ts';
import { startProgram, type Child } from '../faults/child.ts';
import { newBroker } from '../support/broker.ts';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { takeLogs } from '../support/logs.ts';
import { redisUrl, unique, type Finished } from '../support/redis.ts';
import { missedSooner } from '../support/timings.ts';

const STRUCTURES = ['group', 'reliable list'] as const;
type Structure = (typeof STRUCTURES)[number];

/** Where to send, and what to read. */
function placeOf(structure: Structure, name: string): { to: { list: string }; from: object } {
  if (structure === 'reliable list')
    return { to: { list: name }, from: { list: name, reliable: true } };
  return { to: { stream: name } as never, from: { stream: name, group: 'g' } };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

const WAITING = 3_000;
/** The most that a subscriber held in the tests: what failed before it stopped reading, and one read. */
const MOST_HELD = 20 + 256;

/** The state of a broker's one subscriber, and what it holds. */
async function look(broker: RedisBroker): Promise<{ state: string; held: number }> {
  const [subscriber] = (await broker.health()).subscribers;
  return { state: subscriber?.state as string, held: subscriber?.held as number };
}

/** A handler whose database is away until it is told otherwise, and what it has done. */
class Handler {
  isAway = true;
  readonly handled: number[] = [];
  /** How often each message was tried while the database was away. */
  readonly failures = new Map<number, number>();

  readonly handle = (body: unknown): void => {
    const n = body as number;
    if (this.isAway) {
      this.failures.set(n, (this.failures.get(n) ?? 0) + 1);
      throw new Error('the database is away');
    }
    this.handled.push(n);
  };

  get attempts(): number {
    return [...this.failures.values()].reduce((sum, count) => sum + count, 0);
  }
}

/** Each message once; those that were not tried during the outage in order of arrival, after the one that ended it. */
function expectInOrder({ handled, failures }: Handler): void {
  expect([...handled].sort((a, b) => a - b)).toEqual(numbers(WAITING));
  const untried = handled.slice(1).filter((n) => !failures.has(n));
  expect(untried).toEqual([...untried].sort((a, b) => a - b));
}

describe.each(STRUCTURES)('on a %s in virtual time', (structure) => {
  it.for([5_000, 60_000, 600_000])(
    'an outage of %d ms buries none of 3 000 waiting messages, holds few, and then all are handled in order',
    async (outage) => {
      const name = unique();
      const { to, from } = placeOf(structure, name);
      const broker = newBroker(`memory://${name}`);
      const handler = new Handler();
      broker.subscriber(from as never, handler.handle);
      await using test = await testBroker(broker);
      await broker.publishBatch(numbers(WAITING), to);
      await test.idle();
      const before = await look(broker);
      expect(before.state).toBe('open');
      let most = before.held;
      for (let time = 0; time < outage; time += 1_000) {
        await test.advance(1_000);
        const { state, held } = await look(broker);
        expect(state).toBe('open');
        most = Math.max(most, held);
      }
      expect(most).toBeLessThanOrEqual(MOST_HELD);
      expect(handler.attempts).toBeLessThanOrEqual(20 + outage / 30_000);
      handler.isAway = false;
      await test.advance(30_000);
      await test.idle();
      expect((await look(broker)).state).toBe('running');
      // The longest pause of a message that failed.
      await test.advance(outage);
      await eventually(() => expect(handler.handled).toHaveLength(WAITING));
      expectInOrder(handler);
      // Without a trial that failed, all come in order, but for the one that ended the pause.
      const [tried, ...others] = handler.handled;
      const rest = outage < 30_000 ? others : others.toSorted((x, y) => x - y);
      expect(rest).toEqual(numbers(WAITING).filter((n) => n !== tried));
      expect(await look(broker)).toEqual({ state: 'running', held: 0 });
      expect(await broker.deadLetters({ stream: `${name}:dead` }).count()).toBe(0);
      takeLogs();
    },
  );

  it('a long outage buries nothing where the pauses before retries are short', async () => {
    const name = unique();
    const { to, from } = placeOf(structure, name);
    const broker = newBroker(`memory://${name}`);
    const handler = new Handler();
    broker.subscriber({ ...from, retry: { backoff: 1_000 } } as never, handler.handle);
    await using test = await testBroker(broker);
    await broker.publishBatch(numbers(WAITING), to);
    await test.idle();
    for (let time = 0; time < 1_800_000; time += 30_000) await test.advance(30_000);
    // A message that was not tried before is tried at each trial, not one of them again and again.
    expect(Math.max(...handler.failures.values())).toBe(1);
    expect((await look(broker)).held).toBeLessThanOrEqual(MOST_HELD);
    expect(await broker.deadLetters({ stream: `${name}:dead` }).count()).toBe(0);
    handler.isAway = false;
    await test.advance(40_000);
    await test.idle();
    expect(handler.handled).toHaveLength(WAITING);
    expectInOrder(handler);
    takeLogs();
  });

  it('messages that always fail do not keep it open when the outage is over', async () => {
    const name = unique();
    const { to, from } = placeOf(structure, name);
    const broker = newBroker(`memory://${name}`);
    const handler = new Handler();
    const bad = ['poison', 'venom', 'toxin'];
    const retry = { maxDeliveries: 10, backoff: 1_000 };
    const options = { ...from, retry, pause: { after: 5, for: 30_000 } };
    broker.subscriber(options as never, (body) => {
      if (bad.includes(body as string)) throw new Error('always');
      handler.handle(body);
    });
    await using test = await testBroker(broker);
    await broker.publishBatch([...bad, ...numbers(100)], to);
    await test.idle();
    expect((await look(broker)).state).toBe('open');
    // Trials fail during the outage, too.
    await test.advance(100_000);
    handler.isAway = false;
    // The next trial is of a message that was not tried before, and the good ones are handled.
    await test.advance(30_000);
    await test.idle();
    expect(handler.handled.toSorted((x, y) => x - y)).toEqual(numbers(100));
    // They fail alone now, and end in the dead letters, whatever pauses that takes.
    for (let i = 0; i < 60; i++) await test.advance(30_000);
    const letters = await broker.deadLetters({ stream: `${name}:dead` }).list();
    expect(letters).toHaveLength(3);
    expect(new Set(letters.map(({ body }) => body))).toEqual(new Set(bad));
    expect(letters.map(({ deliveries }) => deliveries)).toEqual([10, 10, 10]);
    takeLogs();
  });
});

const SERVER = redisUrl();
/** Others take over after less than a second what a killed process held. */
const FASTER = 10;
const FAST = { [timingsOption]: missedSooner(FASTER) } as BrokerOptions;

describe.concurrent.each(STRUCTURES)('on a %s of Redis', (structure) => {
  it.concurrent.for(isLong ? [5_000, 60_000] : [5_000])(
    'an outage of %d ms buries none of 3 000 waiting messages, holds few, and then all are handled in order',
    { timeout: 100_000 },
    async (outage, { own }) => {
      const name = unique();
      const { to, from } = placeOf(structure, name);
      const broker = own.broker(SERVER);
      const handler = new Handler();
      const pause = { after: 20, for: 1_000 };
      broker.subscriber({ ...from, pause } as never, handler.handle);
      await broker.publishBatch(numbers(WAITING), to);
      await broker.start();
      await eventually(async () => expect((await look(broker)).state).toBe('open'));
      const over = performance.now() + outage;
      let most = 0;
      await eventually(async () => {
        const { state, held } = await look(broker);
        expect(state).toBe('open');
        most = Math.max(most, held);
        return performance.now() > over;
      }, outage + 20_000);
      expect(most).toBeLessThanOrEqual(MOST_HELD);
      // Trials are of messages that were not tried before, where these can be read soon.
      expect(Math.max(...handler.failures.values())).toBeLessThanOrEqual(2);
      handler.isAway = false;
      await eventually(() => handler.handled.length >= WAITING);
      expectInOrder(handler);
      await eventually(async () =>
        expect(await look(broker)).toEqual({ state: 'running', held: 0 }),
      );
      expect(await broker.deadLetters({ stream: `${name}:dead` }).count()).toBe(0);
      own.takeLogs();
    },
  );

  it.concurrent('a process killed while it does not read loses nothing and spends no delivery', async ({
    own,
  }) => {
    const name = unique();
    const { to, from } = placeOf(structure, name);
    const address = {
      ...from,
      ...(structure === 'group' && { claim: { minIdle: 500 } }),
      pause: { after: 5, for: 60_000 },
      retry: { backoff: 100 },
    };
    const heir = own.broker(SERVER, FAST);
    const bodies = numbers(50);
    await heir.publishBatch(bodies, to);
    const child = await failing(address, 'throws', own.finished);
    const runs = new Map<unknown, number>();
    await until(child, runs, ({ open }) => open === true);
    // What it fetched and did not begin is given back; so is, on a list, what failed and whose pause is over by then.
    const raw = own.client();
    await eventually(async () => {
      if (structure === 'reliable list') return (await raw.llen(name)) >= bodies.length - runs.size;
      return (await pendingCounts(raw, name)).filter((count) => count > 0).length === runs.size;
    });
    await pause(300); // longer than the pause of each message that failed
    await child.kill();
    expect(await untilEnd(child, runs)).toBe(0);
    expect([...runs.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(5);
    await expectInherited(heir, address, bodies, runs);
    expect(await heir.deadLetters({ stream: `${name}:dead` }).count()).toBe(0);
  });

  it.concurrent.for([
    ['in it', 800],
    ['on the server', 3_000],
  ] as const)(
    'a process killed while nacked messages wait %s loses nothing and spends no delivery',
    async ([where, after], { own }) => {
      const name = unique();
      const { to, from } = placeOf(structure, name);
      const address = { ...from, ...(structure === 'group' && { claim: { minIdle: 1_000 } }) };
      const heir = own.broker(SERVER, FAST);
      const bodies = numbers(10);
      await heir.publishBatch(bodies, to);
      const child = await failing(address, String(after), own.finished);
      const runs = new Map<unknown, number>();
      await until(child, runs, () => runs.size === bodies.length);
      const raw = own.client();
      const key = structure === 'group' ? `group:{${name}}:g:parked` : `list:{${name}}:parked`;
      const parked = where === 'in it' ? 0 : bodies.length;
      await eventually(async () => expect(await raw.zcard(`redstart:${key}`)).toBe(parked));
      await child.kill();
      await untilEnd(child, runs);
      await expectInherited(heir, address, bodies, runs);
    },
  );

  it.concurrent('what a hung handler had is handled by another broker when its time is over', async ({
    own,
  }) => {
    const name = unique();
    const { to, from } = placeOf(structure, name);
    const address = { ...from, ...(structure === 'group' && { claim: { minIdle: 500 } }) };
    const broken = own.broker(SERVER, FAST);
    const began: unknown[] = [];
    const aborted: unknown[] = [];
    broken.subscriber(
      {
        ...address,
        timeout: 100,
        // Long enough to wait on the server, for any consumer.
        retry: { backoff: 1_000 },
        pause: { after: 1, for: 60_000 },
      } as never,
      (body, { signal }) => {
        began.push(body);
        signal.addEventListener('abort', () => aborted.push(body));
        return new Promise(() => {});
      },
    );
    await broken.start();
    await broken.publish('a', to);
    await eventually(() => expect(began).toEqual(['a']));
    const sound = own.broker(SERVER, FAST);
    const handled: unknown[] = [];
    sound.subscriber(address as never, (body, { message }) => {
      handled.push([body, message.deliveryCount]);
    });
    await sound.start();
    await sound.publish('b', to);
    await eventually(() => expect(handled).toContainEqual(['b', 1]));
    await eventually(() => expect(handled).toContainEqual(['a', 2]));
    expect(handled).toHaveLength(2);
    expect([began, aborted]).toEqual([['a'], ['a']]);
    expect((await look(broken)).held).toBe(0);
    own.takeLogs();
  });
});

interface Said {
  readonly began?: unknown;
  readonly open?: boolean;
  readonly error?: string;
}

/** A process whose handler fails (programs/failing.ts); it has started. */
async function failing(address: object, how: string, finished: Finished): Promise<Child> {
  const args = [SERVER, JSON.stringify(address), how, String(FASTER)];
  return startProgram('failing', args, finished);
}

/** Counts what a process's handler runs, until it has said what `isEnough`. */
async function until(
  child: Child,
  runs: Map<unknown, number>,
  isEnough: (said: Said) => boolean,
): Promise<void> {
  for (;;) {
    const said = (await child.next()) as Said;
    expect(said.error).toBeUndefined();
    if (said.began !== undefined) runs.set(said.began, (runs.get(said.began) ?? 0) + 1);
    if (isEnough(said)) return;
  }
}

/** Counts what a process that was killed had run and not been asked for yet. Returns how many runs. */
async function untilEnd(child: Child, runs: Map<unknown, number>): Promise<number> {
  let count = 0;
  await child.ended();
  for (;;) {
    const said = (await child.next().catch(() => undefined)) as Said | undefined;
    if (said === undefined) return count;
    if (said.began === undefined) continue;
    count++;
    runs.set(said.began, (runs.get(said.began) ?? 0) + 1);
  }
}

/** How often each pending entry of the group `g` was delivered, as the server counts it. */
async function pendingCounts(raw: Redis, name: string): Promise<number[]> {
  const rows = (await raw.xpending(name, 'g', '-', '+', 100)) as [string, string, number, number][];
  return rows.map(([, , , count]) => count);
}

/** Another process handles everything, each message once; `runs` are the deliveries that handlers have seen before. */
async function expectInherited(
  heir: RedisBroker,
  address: object,
  bodies: readonly number[],
  runs: ReadonlyMap<unknown, number>,
): Promise<void> {
  const counts = new Map<unknown, number>();
  let handled = 0;
  heir.subscriber(address as never, (body, { message }) => {
    handled++;
    counts.set(body, message.deliveryCount);
  });
  await heir.start();
  await eventually(() => expect(counts.size).toBe(bodies.length));
  await eventually(async () => expect((await look(heir)).held).toBe(0));
  expect(handled).toBe(bodies.length);
  const overcounted = bodies.filter(
    (body) => (counts.get(body) as number) - 1 > (runs.get(body) ?? 0),
  );
  expect(overcounted).toEqual([]);
}
