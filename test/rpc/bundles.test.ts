// Answers of one tick to one caller are one PUBLISH, and requests of one tick to one list one RPUSH.
import { expect, it } from 'vitest';
import { encodeBundle, isBundle } from '../../src/message/bundle.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawFrame } from '../support/frames.ts';
import { takeLogs } from '../support/logs.ts';
import { monitor } from '../support/monitor.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';

const STRUCTURES = ['channel', 'list', 'stream'] as const;

/** A service that answers 10 requests at once, when all of them have come. */
async function together(structure: (typeof STRUCTURES)[number], url = redisUrl()) {
  const name = unique('together');
  const service = newBroker(url);
  const from = {
    channel: { channel: name },
    list: { list: name },
    stream: { stream: name, group: 'g' },
  }[structure];
  let waiting = 0;
  let go!: () => void;
  const all = new Promise<void>((resolve) => (go = resolve));
  service.subscriber({ ...from, concurrency: 10 }, async (body) => {
    if (++waiting === 10) go();
    await all;
    return body;
  });
  await service.start();
  const to = { channel: { channel: name }, list: { list: name }, stream: { stream: name } };
  return { service, to: to[structure], name };
}

const TEN = Array.from({ length: 10 }, (_, n) => n);

it.each(STRUCTURES)('answers of one tick over a %s come in one PUBLISH', async (structure) => {
  // Others that test on the server of this run have inboxes, too.
  const { url } = await ownServer();
  const { to } = await together(structure, url);
  const caller = newBroker(url);
  let published = 0;
  await monitor(([command = '', channel = '']) => {
    if (command.toLowerCase() === 'publish' && channel.startsWith('redstart:inbox:{')) published++;
  }, url);
  const answers = TEN.map((n) => caller.publish(n, { ...to, rpc: true }));
  expect(await Promise.all(answers)).toEqual(TEN);
  // The last to come lets all go on; where their requests were read apart, it may be in another tick.
  expect(published).toBeLessThanOrEqual(2);
});

it.each(STRUCTURES)(
  'over memory:// answers of one tick arrive, each at its call (%s)',
  async (s) => {
    const url = `memory://${unique('bundles')}`;
    const { to } = await together(s, url);
    const caller = newBroker(url);
    const answers = TEN.map((n) => caller.publish(n, { ...to, rpc: true }));
    expect(await Promise.all(answers)).toEqual(TEN);
  },
);

it('a caller whose inbox does not say that it takes bundles gets one message for each answer', async () => {
  const { name } = await together('list');
  const inbox = `redstart:inbox:{${unique()}}`;
  const heard: Buffer[] = [];
  const client = rawClient();
  client.on('messageBuffer', (_: Buffer, bytes: Buffer) => heard.push(bytes));
  await client.subscribe(inbox);
  const requests = TEN.map((n) =>
    rawFrame(
      {
        correlation_id: `call-${n}`,
        reply_to: inbox,
        'redstart-call': `call-${n}`,
        'content-type': 'application/json',
      },
      String(n),
    ),
  );
  await rawClient().rpush(name, ...requests);
  await eventually(() => expect(heard.length).toBe(10));
  expect(heard.filter(isBundle)).toEqual([]);
});

it('a caller of its own reply channel gets its answer alone, also where others are bundled', async () => {
  const { to } = await together('list');
  const caller = newBroker(redisUrl());
  const answers = TEN.map((n) =>
    caller.publish(n, { ...to, rpc: true, ...(n % 2 ? { replyChannel: 'dedicated' } : {}) }),
  );
  expect(await Promise.all(answers)).toEqual(TEN);
});

it('answers of 30 KB in one tick arrive, in bundles of 64 KiB at most', async () => {
  const { to } = await together('list');
  const caller = newBroker(redisUrl());
  const bodies = TEN.map((n) => String(n).repeat(30_000));
  const answers = bodies.map((body) => caller.publish(body, { ...to, rpc: true }));
  expect(await Promise.all(answers)).toEqual(bodies);
});

it('a bundle that is cut off gives the answers before that, one line in the log, and costs no other call', async () => {
  const name = unique('cut');
  const caller = newBroker(redisUrl());
  const service = rawClient();
  const calls = ['one', 'two'].map((body) =>
    caller.publish(body, { list: name, rpc: true, timeout: 20_000 }),
  );
  const requests = await eventually(async () => {
    const found = await service.lrangeBuffer(name, 0, -1);
    expect(found.length).toBe(2);
    return found;
  });
  const inbox = /redstart:inbox:\{[^}]+\}/.exec(String(requests[0]))?.[0] as string;
  const frames = requests.map((request, n) => {
    const id = /correlation_id..([\w-]{16})/s.exec(request.toString('latin1'))?.[1] as string;
    return rawFrame({ correlation_id: id, 'content-type': 'application/json' }, `"answer ${n}"`);
  });
  const bundle = encodeBundle(frames);
  await service.publish(inbox, bundle.subarray(0, bundle.length - 1));
  expect(await calls[0]).toBe('answer 0');
  const lines = await eventually(() => {
    const taken = takeLogs();
    expect(taken.length).toBeGreaterThan(0);
    return taken;
  });
  expect(lines.map(({ message }) => message)).toEqual(['calls: an answer could not be read']);
  await service.publish(inbox, frames[1] as Buffer);
  expect(await calls[1]).toBe('answer 1');
});

it('a bundle in a bundle is not opened', async () => {
  const caller = newBroker(redisUrl());
  const name = unique('nested');
  const call = caller.publish(1, { list: name, rpc: true, timeout: 20_000 });
  const service = rawClient();
  const request = await eventually(async () => {
    const found = await service.lindexBuffer(name, 0);
    expect(found).not.toBeNull();
    return found as Buffer;
  });
  const inbox = /redstart:inbox:\{[^}]+\}/.exec(String(request))?.[0] as string;
  const id = /correlation_id..([\w-]{16})/s.exec(request.toString('latin1'))?.[1] as string;
  const answer = rawFrame({ correlation_id: id, 'content-type': 'application/json' }, '"right"');
  const wrong = rawFrame({ correlation_id: id, 'content-type': 'application/json' }, '"nested"');
  await service.publish(inbox, encodeBundle([encodeBundle([wrong])]));
  await service.publish(inbox, answer);
  expect(await call).toBe('right');
  takeLogs();
});

it('requests of one tick to one list are one RPUSH, and each publish gets the length after its own', async () => {
  const [list, other] = [unique('pushed'), unique('other')];
  const broker = newBroker(redisUrl());
  await broker.connect();
  const commands: string[][] = [];
  await monitor((args) => {
    if (args[1] === list || args[1] === other) commands.push([args[0] as string, args[1]]);
  });
  const lengths = [
    ...TEN.map((n) => broker.publish(n, { list })),
    broker.publish('x', { list: other }),
    broker.publish('last', { list }),
  ];
  expect(await Promise.all(lengths)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 11]);
  await eventually(() =>
    expect(commands).toEqual([
      ['rpush', list],
      ['rpush', other],
      ['rpush', list],
    ]),
  );
  const consumer = await broker.subscribe({ list });
  const bodies: unknown[] = [];
  for (let n = 0; n < 11; n++) bodies.push((await consumer.next({ timeout: 20_000 }))?.body);
  expect(bodies).toEqual([...TEN, 'last']);
  await consumer.close();
});

it('requests of one tick to a key of another type are all refused', async () => {
  const list = unique('wrong');
  await rawClient().set(list, 'a string');
  const broker = newBroker(redisUrl());
  const results = await Promise.allSettled(TEN.map((n) => broker.publish(n, { list })));
  expect(results.map(({ status }) => status)).toEqual(TEN.map(() => 'rejected'));
  for (const result of results)
    expect(String((result as PromiseRejectedResult).reason)).toContain('WRONGTYPE');
});
