import type { Redis } from 'ioredis';
import type { Health, RedisBroker } from 'redstart';
import { describe, expect } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { commandRate, quietest } from '../support/commands.ts';
import { it, type Own } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import type { LogLine } from '../support/logs.ts';

const KINDS = ['channel', 'list', 'stream', 'group'] as const;
type Kind = (typeof KINDS)[number];

/** Commands a second that a broken subscriber, or its broker on its behalf, may send. */
const LIMIT = 5;

interface Bench {
  readonly broker: RedisBroker;
  /** An administrator's connection, which none of the troubles concern. */
  readonly client: Redis;
  readonly seen: unknown[];
  state(kind: Kind, health: Health): string | undefined;
}

/** One subscriber of each kind, at `x:<kind>`, on a server of their own. */
async function bench(
  own: Own,
  kinds: readonly Kind[] = KINDS,
  args: readonly string[] = [],
  user = '',
): Promise<Bench> {
  const server = await own.server(args);
  const client = own.client(server.url);
  if (user !== '') await client.acl('SETUSER', user, 'on', '>secret', '~*', '&*', '+@all');
  const login = user === '' ? '' : `${user}:secret@`;
  const broker = own.broker(server.url.replace('//', `//${login}`));
  const seen: unknown[] = [];
  const handler = (body: unknown): void => void seen.push(body);
  const places = {
    channel: 'x:channel',
    list: { list: 'x:list' },
    stream: { stream: 'x:stream' },
    group: { stream: 'x:group', group: 'g', consumer: 'c' },
  } as const;
  for (const kind of kinds) broker.subscriber(places[kind] as { list: string }, handler);
  await broker.start();
  // The group has looked for stale entries by then, over the connection that is going to be cut.
  await send(client, kinds, 'first');
  await eventually(() => expect(seen).toHaveLength(kinds.length));
  await eventually(async () => {
    const { subscribers } = await broker.health();
    expect(subscribers.filter((one) => (one.pending ?? 0) > 0)).toEqual([]);
  });
  seen.length = 0;
  const state = (kind: Kind, { subscribers }: Health): string | undefined =>
    subscribers.find(({ address }) => address.includes(`x:${kind}`))?.state;
  return { broker, client, seen, state };
}

/** The state of a broker once it is as expected: on a busy machine the server may answer it too late. */
async function healthOnce(broker: RedisBroker, expected: object): Promise<Health> {
  return eventually(async () => {
    const health = await broker.health();
    expect(health).toMatchObject(expected);
    return health;
  });
}

/** Sends one message to each, from outside. */
async function send(client: Redis, kinds: readonly Kind[], body: string): Promise<void> {
  for (const kind of kinds) {
    if (kind === 'channel') await client.publish('x:channel', JSON.stringify(body));
    else if (kind === 'list') await client.rpush('x:list', JSON.stringify(body));
    else await client.xadd(`x:${kind}`, '*', '__data__', JSON.stringify(body));
  }
}

/** Prints a rate for the record. */
async function told(code: string, rate: Promise<number>): Promise<number> {
  process.stderr.write(`${code}: ${(await rate).toFixed(1)} commands a second while broken\n`);
  return rate;
}

function errorsIn(logs: readonly LogLine[]): LogLine[] {
  return logs.filter(({ level }) => level === 'error');
}

/** What is said when subscribers of all `kinds` have stopped over `code`. */
async function failures(own: Own, kinds: readonly Kind[], code: string): Promise<LogLine[]> {
  const logs: LogLine[] = [];
  await eventually(() => {
    logs.push(...own.takeLogs());
    expect(errorsIn(logs)).toHaveLength(kinds.length);
  });
  for (const { message, error } of errorsIn(logs)) {
    expect(message).toContain('stopped: ');
    expect(message).toContain(code);
    expect(String(error)).toContain(code);
  }
  return logs;
}

describe.concurrent('trouble that does not pass stops a subscriber, once, with a word on what to do', () => {
  const READERS = ['list', 'stream', 'group'] as const;

  it.for(READERS)('WRONGTYPE: the key becomes something else (%s)', async (kind, { own }) => {
    const { broker, client, seen, state } = await bench(own, READERS);
    await client.del(`x:${kind}`);
    await client.set(`x:${kind}`, 'a string now');
    // The watchdog's PINGs are sent on good days, too.
    const rate = told('WRONGTYPE', commandRate(client, 5_000, ['ping']));
    const [{ message } = { message: '' }] = errorsIn(await failures(own, [kind], 'WRONGTYPE'));
    expect(message).toContain(`x:${kind}`);
    expect(message).toContain('delete or rename it');
    const health = await healthOnce(broker, { status: 'red', connected: true });
    expect(health.problems.join()).toContain('WRONGTYPE');
    const others = READERS.filter((other) => other !== kind);
    expect(READERS.map((each) => state(each, health))).toEqual(
      READERS.map((each) => (each === kind ? 'failed' : 'running')),
    );
    expect(await rate).toBeLessThan(LIMIT);
    await send(client, others, 'others go on');
    await eventually(() => expect(seen).toEqual(others.map(() => 'others go on')));

    await client.del(`x:${kind}`);
    await broker.stop();
    await broker.start();
    await send(client, [kind], 'again');
    await eventually(() => expect(seen).toContain('again'));
    await healthOnce(broker, { status: 'green' });
    own.takeLogs();
  });

  it('NOAUTH: a password is set while connections break', async ({ own }) => {
    const { broker, client } = await bench(own);
    await client.config('SET', 'requirepass', 'secret');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes');
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const rate = told('NOAUTH', commandRate(client, 5_000));
    const logs = await failures(own, KINDS, 'NOAUTH');
    expect(errorsIn(logs)[0]?.message).toContain('redis://user:password@');
    const health = await healthOnce(broker, { status: 'red', connected: false });
    expect(health.subscribers.map((one) => one.state)).toEqual(KINDS.map(() => 'failed'));
    expect(await rate).toBeLessThan(LIMIT);
    await broker.stop();
    own.takeLogs();
  });

  it('WRONGPASS: the password is changed while connections break', async ({ own }) => {
    const { broker, client } = await bench(own, KINDS, [], 'worker');
    await client.acl('SETUSER', 'worker', 'resetpass', '>other');
    await client.call('CLIENT', 'KILL', 'USER', 'worker');
    const rate = told('WRONGPASS', commandRate(client, 5_000));
    const logs = await failures(own, KINDS, 'WRONGPASS');
    expect(JSON.stringify(logs)).not.toContain('secret');
    await healthOnce(broker, { status: 'red' });
    expect(await rate).toBeLessThan(LIMIT);
    await broker.stop();
    own.takeLogs();
  });

  it('NOPERM: rights are withdrawn, and what it may still do goes on', async ({ own }) => {
    const { broker, client, seen, state } = await bench(own, KINDS, [], 'worker');
    // Redis ends the connections of subscribers whose channel is withdrawn.
    await client.acl('SETUSER', 'worker', '-xread', '-xreadgroup', 'resetchannels', '&other');
    // The watchdog's PINGs are sent on good days, too, and what a new connection asks, by any connection.
    const except = ['ping', 'time', 'hello', 'info'];
    const rate = told('NOPERM', commandRate(client, 5_000, except));
    const logs = await failures(own, ['channel', 'stream', 'group'], 'NOPERM');
    expect(errorsIn(logs)[0]?.message).toContain('ACL SETUSER');
    const health = await healthOnce(broker, { status: 'red', connected: true });
    expect(KINDS.map((kind) => state(kind, health))).toEqual([
      'failed',
      'running',
      'failed',
      'failed',
    ]);
    // Three of them cannot read.
    expect(await rate).toBeLessThan(3 * LIMIT);
    await send(client, ['list'], 'still allowed');
    await eventually(() => expect(seen).toEqual(['still allowed']));
    await broker.stop();
    own.takeLogs();
  });

  it('NOPERM: of several channels only those that are refused fail', async ({ own }) => {
    const { broker, client, seen } = await bench(own, [], [], 'worker');
    for (const channel of ['allowed', 'refused', 'refused.{x}']) {
      await broker.subscriber(channel, (body) => void seen.push([channel, body])).started();
    }
    await healthOnce(broker, { status: 'green' });
    await client.acl('SETUSER', 'worker', 'resetchannels', '&allowed');
    const logs: LogLine[] = [];
    await eventually(() => {
      logs.push(...own.takeLogs());
      expect(errorsIn(logs)).toHaveLength(2);
    });
    await eventually(async () => expect(await client.publish('allowed', '1')).toBe(1));
    await eventually(() => expect(seen).toEqual([['allowed', 1]]));
    const { subscribers } = await broker.health();
    expect(subscribers.map((one) => one.state)).toEqual(['running', 'failed', 'failed']);
    await broker.stop();
    own.takeLogs();
  });
});

interface Trouble {
  readonly code: string;
  readonly args?: readonly string[];
  /** The subscribers that cannot read meanwhile; the others do not notice. */
  readonly stops: readonly Kind[];
  begin(client: Redis, own: Own): Promise<unknown>;
  end(client: Redis): Promise<unknown>;
}

const REPLICA = {
  begin: async (client: Redis) => client.replicaof('127.0.0.1', await freePort()),
  end: (client: Redis) => client.replicaof('NO', 'ONE'),
};

const TROUBLES: readonly Trouble[] = [
  { code: 'READONLY', stops: ['list', 'group'], ...REPLICA },
  {
    code: 'MASTERDOWN',
    args: ['--replica-serve-stale-data', 'no'],
    stops: ['list', 'stream', 'group'],
    ...REPLICA,
  },
  {
    // A group that is gone and must not be made again.
    code: 'NOGROUP',
    stops: ['group'],
    begin: (client) =>
      client
        .multi()
        .xgroup('DESTROY', 'x:group', 'g')
        .call('ACL', 'SETUSER', 'default', '-xgroup')
        .exec(),
    end: (client) => client.acl('SETUSER', 'default', '+xgroup'),
  },
  {
    code: 'LOADING',
    args: [
      ...['--enable-debug-command', 'yes', '--key-load-delay', '5000'],
      ...['--loading-process-events-interval-bytes', '1024'],
    ],
    stops: ['list', 'stream', 'group'],
    begin: async (client, own) => {
      const keys = Array.from({ length: 2_400 }, (_, n) => [`key:${n}`, 'x'.repeat(100)] as const);
      await client.mset(new Map(keys));
      // Answered when all is loaded, after about 12 s.
      const loading = own.client(`redis://127.0.0.1:${client.options.port}`);
      loading.call('DEBUG', 'RELOAD').catch(() => undefined);
      await eventually(async () => expect(await client.info('persistence')).toMatch(/\bloading:1/));
      // While it loads, the server does not look at the clock of what is blocked.
      const clients = (await client.client('LIST')) as string;
      for (const [, id = ''] of clients.matchAll(/^id=(\d+) .* flags=b /gm)) {
        await client.client('UNBLOCK', id);
      }
    },
    end: (client) =>
      eventually(
        async () => expect(await client.info('persistence')).toMatch(/\bloading:0/),
        60_000,
      ),
  },
];

describe.concurrent.each(TROUBLES)('$code passes', ({ code, args, stops, begin, end }) => {
  it('and its subscribers wait with growing pauses, then go on by themselves', async ({ own }) => {
    const { broker, client, seen, state } = await bench(own, KINDS, args);
    await send(client, KINDS, 'before');
    await eventually(() => expect(seen).toHaveLength(KINDS.length));
    await begin(client, own);
    const logs: LogLine[] = [];
    await eventually(async () => {
      logs.push(...own.takeLogs());
      const health = await broker.health();
      expect(KINDS.map((kind) => state(kind, health))).toEqual(
        KINDS.map((kind) => (stops.includes(kind) ? 'retrying' : 'running')),
      );
      expect(health).toMatchObject({ status: 'yellow', connected: true });
      expect(health.problems).toHaveLength(stops.length);
    });
    // The watchdog's PINGs are sent on good days, too.
    const measure = (): Promise<number> => told(code, commandRate(client, 3_000, ['ping']));
    // Loading is over before it could be measured again.
    const limit = code === 'LOADING' ? Infinity : LIMIT * stops.length;
    const rate = await quietest(limit, measure);
    expect(rate).toBeLessThan(LIMIT * stops.length);
    logs.push(...own.takeLogs());
    expect(logs.map(({ error }) => String(error)).join()).toContain(code);
    expect(errorsIn(logs)).toEqual([]);

    await end(client);
    seen.length = 0;
    await send(client, KINDS, 'after');
    await eventually(() => {
      expect(seen.filter((body) => body === 'after')).toHaveLength(KINDS.length);
    });
    await eventually(async () => expect((await broker.health()).status).toBe('green'));
    own.takeLogs();
  }, 180_000);
});

it.concurrent('BUSY: a script that runs for long holds everything up, and nothing is given up', async ({
  own,
}) => {
  const { broker, client, seen } = await bench(own, KINDS, ['--busy-reply-threshold', '50']);
  const script = own.client(`redis://127.0.0.1:${client.options.port}`);
  const killed = script.eval('while true do end', 0).catch((error: unknown) => String(error));
  await eventually(async () => {
    const reply = await client.ping().catch((error: unknown) => String(error));
    expect(reply).toContain('BUSY');
  });
  // Long enough for a watchdog that took refused PINGs for silence to have cut everything off.
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  await healthOnce(broker, { status: 'yellow', connected: true });
  await client.script('KILL');
  expect(await killed).toContain('killed');
  await send(client, KINDS, 'after');
  await eventually(() => expect(seen).toHaveLength(KINDS.length));
  await eventually(async () => expect((await broker.health()).status).toBe('green'));
  own.takeLogs();
}, 120_000);

it.concurrent('OOM: what is sent is refused with the reason, and what is there is still handled', async ({
  own,
}) => {
  const { broker, client, seen } = await bench(own);
  await send(client, ['list', 'stream', 'group'], 'before');
  await eventually(() => expect(seen).toHaveLength(3));
  await client.config('SET', 'maxmemory', '1');
  for (const to of [{ list: 'x:list' }, { stream: 'x:group' }]) {
    await expect(broker.publish('refused', to as { list: string })).rejects.toMatchObject({
      code: 'SEND',
      message: expect.stringContaining('OOM') as string,
    });
  }
  // A channel holds nothing.
  await broker.publish('heard', 'x:channel');
  await eventually(() => expect(seen).toContain('heard'));
  const rate = (): Promise<number> => commandRate(client, 3_000, ['ping']);
  expect(await quietest(LIMIT, rate)).toBeLessThan(LIMIT);
  await healthOnce(broker, {
    status: 'yellow',
    problems: [expect.stringContaining('Redis is full')],
  });
  await client.config('SET', 'maxmemory', '0');
  await eventually(async () => expect((await broker.health()).status).toBe('green'));
  await broker.publish('after', { list: 'x:list' });
  await eventually(() => expect(seen).toContain('after'));
  expect(own.takeLogs()).toEqual([]);
});

it.concurrent('OOM: items that were fetched from a list and not started are put back at stop all the same', async ({
  own,
}) => {
  const server = await own.server();
  const client = own.client(server.url);
  const service = own.broker(server.url, { gracefulTimeout: 0 });
  let isRunning = false;
  service.subscriber({ list: 'x', maxRecords: 10 }, async (_, { signal }) => {
    isRunning = true;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  });
  await own.broker(server.url).publishBatch([1, 2, 3, 4], { list: 'x' });
  await service.start();
  await eventually(() => isRunning);
  expect(await client.llen('x')).toBe(0);
  await client.config('SET', 'maxmemory', '1');
  await service.stop();
  await client.config('SET', 'maxmemory', '0');
  await using rest = await own.broker(server.url).subscribe({ list: 'x' });
  for (const body of [2, 3, 4]) expect((await rest.next())?.body).toBe(body);
  expect(own.takeLogs()).toMatchObject([{ message: expect.stringContaining('signals abort') }]);
});

it.concurrent('NOGROUP: a group that goes away is made again, at once and without fuss', async ({
  own,
}) => {
  const { broker, client, seen } = await bench(own, ['group']);
  const rate = commandRate(client, 4_000);
  await client.xgroup('DESTROY', 'x:group', 'g');
  await eventually(async () => {
    const groups = (await client.xinfo('GROUPS', 'x:group')) as unknown[];
    expect(groups).toHaveLength(1);
  });
  // From the start of what there is, since what was handled went with the group.
  await send(client, ['group'], 'after');
  await eventually(() => expect(seen).toEqual(['first', 'after']));
  await healthOnce(broker, { status: 'green' });
  await rate;
  const later = (): Promise<number> => commandRate(client, 3_000, ['ping']);
  expect(await quietest(LIMIT, later)).toBeLessThan(LIMIT);
  own.takeLogs();
});
