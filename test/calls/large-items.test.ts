// Streams of answers whose items are large.
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { rawFrame } from '../support/frames.ts';
import { ownServer, rawClient, unique } from '../support/redis.ts';

const MIB = 2 ** 20;

// A server of its own: elsewhere tests run MONITOR, which would repeat every item.
describe.each(['memory', 'redis'])('large items of a stream (%s)', (backend) => {
  const url = async (): Promise<string> =>
    backend === 'memory' ? `memory://${unique()}` : (await ownServer()).url;

  it('wait for their reader whatever the window is: while 4 MiB are unread, the next one is not sent', async () => {
    const service = newBroker(await url());
    let produced = 0;
    service.subscriber({ list: 'items' }, async function* () {
      for (; produced < 20; produced++) yield Buffer.alloc(MIB, produced);
    });
    await service.start();
    let read = 0;
    let lead = 0;
    for await (const item of service.requestMany<Buffer>(1, { list: 'items' })) {
      expect(item.length).toBe(MIB);
      expect(item[0]).toBe(read++);
      if (read % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      lead = Math.max(lead, produced - read);
    }
    expect(read).toBe(20);
    // Four unread ones, and the one that is made while the last is handed over.
    expect(lead).toBeLessThanOrEqual(5);
  });

  it('and small ones come in their order, also for a window of one', async () => {
    const service = newBroker(await url());
    const sizes = [1, 3 * MIB, 5 * MIB, 1, 2 * MIB, 2 * MIB, 2 * MIB, 1, 1, 1, 6 * MIB, 1];
    service.subscriber({ list: 'items' }, async function* () {
      for (const size of sizes) yield Buffer.alloc(size);
    });
    await service.start();
    for (const window of [1, 2, 64]) {
      const items = await collect<Buffer>(
        service.requestMany<Buffer>(1, { list: 'items', window }),
      );
      expect(items.map(({ length }) => length)).toEqual(sizes);
    }
  });
});

it('20 items of 6 MB arrive with the default window', async () => {
  const server = await ownServer();
  const [service, caller] = [newBroker(server.url), newBroker(server.url)];
  service.subscriber('films', async function* () {
    for (let n = 0; n < 20; n++) yield Buffer.alloc(6e6, n);
  });
  await service.start();
  let read = 0;
  for await (const film of caller.requestMany<Buffer>(1, { channel: 'films' })) {
    expect(film.length).toBe(6e6);
    expect(film[0]).toBe(read++);
  }
  expect(read).toBe(20);
});

it('a caller of an earlier version, which grants items and no bytes, gets its window', async () => {
  const server = await ownServer();
  const service = newBroker(server.url);
  service.subscriber({ list: 'films' }, async function* () {
    for (let n = 0; n < 8; n++) yield Buffer.alloc(2 * MIB, n);
  });
  await service.start();
  const inbox = 'redstart:inbox:{anotherversion+}';
  const client = rawClient(server.url);
  let frames = 0;
  client.on('messageBuffer', (_: Buffer, bytes: Buffer) => {
    if (bytes.length > MIB) frames++;
  });
  await client.subscribe(inbox);
  const headers = { reply_to: inbox, correlation_id: 'c', 'redstart-call': 'c' };
  const request = rawFrame({ ...headers, 'redstart-window': '8' }, '1');
  await rawClient(server.url).rpush('films', request);
  await eventually(() => expect(frames).toBe(8));
});
