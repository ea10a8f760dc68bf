// Deadlines count on the server's clock, whatever the machines' clocks say.
import { ExpiredError, RpcTimeoutError } from 'redstart';
import { expect, it, onTestFinished, vi } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { rawFrame } from '../support/frames.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';

const HOUR = 3_600_000;
const STRUCTURES = ['channel', 'list', 'stream'] as const;

/** From now on this machine's clock is `ms` ahead. */
function skewed(ms: number): void {
  const now = Date.now.bind(Date);
  const spy = vi.spyOn(Date, 'now').mockImplementation(() => now() + ms);
  onTestFinished(() => spy.mockRestore());
}

function places(structure: (typeof STRUCTURES)[number], name: string) {
  const to = { channel: { channel: name }, list: { list: name }, stream: { stream: name } };
  return { to: to[structure], from: { ...to, stream: { stream: name, group: 'g' } }[structure] };
}

/** The server's Unix milliseconds. */
async function serverTime(): Promise<number> {
  const [seconds] = await rawClient().time();
  return Number(seconds) * 1_000;
}

it.each([HOUR, -HOUR])(
  'a call is answered where this machine’s clock is %d ms off',
  async (skew) => {
    skewed(skew);
    const name = unique('skew');
    const service = newBroker(redisUrl());
    service.subscriber({ list: name }, (body) => body);
    await service.start();
    const caller = newBroker(redisUrl());
    expect(await caller.publish('x', { list: name, rpc: true, timeout: 20_000 })).toBe('x');
  },
);

it.each([HOUR, -HOUR])(
  'the deadline on the wire is in the server’s time, %d ms off here',
  async (skew) => {
    skewed(skew);
    const list = unique('wire');
    const caller = newBroker(redisUrl());
    const call = caller.publish('x', { list, rpc: true, timeout: 10_000 }).catch(() => undefined);
    const client = rawClient();
    const frame = await eventually(async () => {
      const found = await client.lindex(list, 0);
      expect(found).not.toBeNull();
      return found as string;
    });
    const deadline = Number(/redstart-deadline[^\d]*(\d{13})/s.exec(frame)?.[1]);
    const left = deadline - (await serverTime());
    expect(left).toBeGreaterThan(5_000);
    expect(left).toBeLessThan(12_000);
    await caller.stop();
    await call;
  },
);

it.each(STRUCTURES)(
  'a request that came too late over a %s is not handled, and its caller hears `expired`',
  async (structure) => {
    skewed(-HOUR); // by this machine's clock there would be an hour left
    const name = unique('late');
    const { from } = places(structure, name);
    const service = newBroker(redisUrl());
    let handled = 0;
    service.subscriber(from, () => void handled++);
    await service.start();
    const inbox = `redstart:inbox:{${unique()}}`;
    const heard: string[] = [];
    const client = rawClient();
    client.on('message', (_: string, text: string) => heard.push(text));
    await client.subscribe(inbox);
    const frame = rawFrame({
      correlation_id: 'late',
      reply_to: inbox,
      'redstart-call': 'late',
      'redstart-deadline': String((await serverTime()) - 2_000),
    });
    const sender = rawClient();
    if (structure === 'channel') await sender.publish(name, frame);
    else if (structure === 'list') await sender.rpush(name, frame);
    else await sender.xadd(name, '*', '__data__', frame);
    await eventually(() => expect(heard.length).toBe(1));
    expect(heard[0]).toContain('expired');
    expect(heard[0]).toContain('EXPIRED');
    expect(handled).toBe(0);
  },
);

it('a caller that still listens gets an ExpiredError; one that does not has no late answer', async () => {
  const list = unique('told');
  const caller = newBroker(redisUrl());
  const call = caller.publish('x', { list, rpc: true, timeout: 10_000 });
  const client = rawClient();
  const request = await eventually(async () => {
    const found = await client.lindexBuffer(list, 0);
    expect(found).not.toBeNull();
    return (found as Buffer).toString('latin1');
  });
  const inbox = /redstart:inbox:\{[^}]+\}/.exec(request)?.[0] as string;
  const id = /correlation_id..([\w-]{16})/s.exec(request)?.[1] as string;
  const body = JSON.stringify({ name: 'ExpiredError', message: 'too late', code: 'EXPIRED' });
  const type = { 'content-type': 'application/json', 'redstart-status': 'expired' };
  const frame = rawFrame({ correlation_id: id, 'redstart-call': id, ...type }, body);
  await client.publish(inbox, frame);
  const error = await call.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ExpiredError);
  expect(error).toMatchObject({ code: 'EXPIRED', message: expect.stringContaining('too late') });
  await client.publish(inbox, frame);
  await client.publish(inbox, rawFrame({ correlation_id: 'of nobody' }, '1'));
  await eventually(() => expect(caller.stats.lateAnswers).toBe(1));
});

it('health is yellow where this machine’s clock is more than a second off', async () => {
  skewed(HOUR);
  const broker = newBroker(redisUrl());
  await broker.start();
  const { status, ready, problems } = await broker.health();
  expect(status).toBe('yellow');
  expect(ready).toBe(true);
  expect(problems).toEqual(["this machine's clock is 3600.0 s ahead of Redis's"]);
});

it('without the right to TIME calls go by this machine’s clock, and health says so', async () => {
  const server = await ownServer();
  const admin = rawClient(server.url);
  await admin.call(
    ...(['ACL', 'SETUSER', 'timeless', 'on', '>s3cret', '~*', '&*', '+@all', '-time'] as const),
  );
  const url = server.url.replace('redis://', 'redis://timeless:s3cret@');
  const service = newBroker(url);
  service.subscriber({ list: 'echo' }, (body) => body);
  await service.start();
  expect(await newBroker(url).publish('x', { list: 'echo', rpc: true, timeout: 20_000 })).toBe('x');
  const { status, problems } = await service.health();
  expect(status).toBe('yellow');
  expect(problems).toEqual([expect.stringMatching(/^Redis does not tell its time \(NOPERM/)]);
  takeLogs(); // delayed messages cannot be looked for, either
});

const never = (): Promise<never> => new Promise(() => {});

/** The text of a call's timeout. */
async function timeout(calling: Promise<unknown>): Promise<string> {
  const error: unknown = await calling.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RpcTimeoutError);
  return (error as Error).message;
}

it.each(['redis', 'memory'])(
  'a call’s timeout says whether anybody reads the place (%s)',
  async (kind) => {
    const url = kind === 'redis' ? redisUrl() : `memory://${unique('place')}`;
    const [list, taken, stream] = [unique('list'), unique('taken'), unique('stream')];
    const service = newBroker(url);
    service.subscriber({ list: taken, timeout: 1_000, noReply: false }, never);
    service.subscriber({ channel: `${taken}:c`, timeout: 1_000 }, never);
    // The way for answers is open first: it needs time of its own.
    service.subscriber(`${taken}:echo`, (body) => body);
    await service.start();
    const caller = newBroker(url);
    await caller.publish(1, { channel: `${taken}:echo`, rpc: true });
    const options = { rpc: true, timeout: 500 } as const;
    // Redis has 100 ms to tell; a busy machine needs another attempt.
    const says = (to: object, text: RegExp): Promise<void> =>
      eventually(async () => {
        const call = caller.publish('x', { ...(to as { list: string }), ...options });
        expect(await timeout(call)).toMatch(text);
      });
    await says(
      { list },
      /: messages that wait in the list: \d+; nobody reads it, or its readers are busy$/,
    );
    await says({ list: taken }, /: somebody has taken the request$/);
    await says({ stream }, /: no group reads the stream$/);
    await says({ channel: `${taken}:c` }, /: subscribers that have the request: 1$/);
    await service.stop();
    takeLogs();
  },
);

it('a call’s timeout says that the connection is down', async () => {
  const server = await ownServer();
  const proxy = await FaultProxy.to(server.port);
  const caller = newBroker(proxy.url);
  await caller.connect();
  proxy.cutOff();
  const text = await timeout(caller.publish('x', { list: 'any', rpc: true, timeout: 500 }));
  expect(text).toMatch(/: the connection to Redis has been down for \d+ ms$/);
  takeLogs();
});
