import { PipelineError, SendError, event, rpc } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { monitor } from '../support/monitor.ts';
import { ownServer, rawClient, unique } from '../support/redis.ts';

onBothBackends('a pipeline', (bench) => {
  it.each([false, true])(
    'sends all in one go, with what each publish gives, in order (transaction: %s)',
    async (transaction) => {
      const { broker, name } = bench();
      const service = broker({ prefix: 'p:' });
      const seen: unknown[] = [];
      service.subscriber({ list: name('list') }, (body, { message }) => {
        seen.push([body, message.headers['x']]);
      });
      service.subscriber({ stream: name('stream'), lastId: '0' }, (body) => seen.push(body));
      service.subscriber(name('channel'), (body) => seen.push(body));
      const client = broker({ prefix: 'p:' });
      const shipped = event({ list: name('typed') }, { schema: z.object({ n: z.number() }) });
      const pipeline = client.pipeline({ transaction });
      pipeline
        .publish('a', { list: name('list'), headers: { x: 'y' } })
        .publish('b', { list: name('list') })
        .publish('c', { stream: name('stream'), maxlen: 10 })
        .publish('d', name('channel'))
        .publish({ n: 1 }, shipped);
      expect(pipeline.size).toBe(5);
      expect(await pipeline.send()).toEqual([1, 2, expect.stringMatching(/^\d+-\d+$/), 0, 1]);
      expect(pipeline.size).toBe(0);
      expect(await pipeline.send()).toEqual([]);
      await service.start();
      await expect.poll(() => seen.length).toBe(3);
      expect(seen).toEqual(expect.arrayContaining([['a', 'y'], ['b', undefined], 'c']));
    },
  );

  it('says how each message fared where Redis refused some', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.publish(1, { list: name('list') });
    const sending = client
      .pipeline()
      .publish('fine', { list: name('list') })
      .publish('refused', { stream: name('list') })
      .publish('fine', { list: name('list') })
      .send();
    const error = await sending.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PipelineError);
    expect(error).toMatchObject({
      code: 'PIPELINE',
      message: expect.stringContaining(`1 of 3 messages were refused: cannot send to stream`),
      results: [
        { status: 'fulfilled', value: 2 },
        { status: 'rejected', reason: expect.any(SendError) },
        { status: 'fulfilled', value: 3 },
      ],
    });
  });

  it('sends all or none in a transaction, also where a key has another type', async () => {
    const { broker, name } = bench();
    const client = broker();
    const [list, stream] = [name('list'), name('stream')];
    await client.publish(1, { stream });
    const other = client
      .pipeline({ transaction: true })
      .publish('fine', { list })
      .publish('refused', { list: stream })
      .publish('fine', { stream })
      .send();
    const refused = { status: 'rejected', reason: expect.any(SendError) };
    await expect(other).rejects.toMatchObject({
      code: 'PIPELINE',
      message: expect.stringContaining(`because of list '${stream}': WRONGTYPE`),
      results: [refused, refused, refused],
    });
    // Nobody has made the key yet, and it cannot become both.
    const both = client
      .pipeline({ transaction: true })
      .publish('one', { list })
      .publish('two', { stream: list })
      .send();
    await expect(both).rejects.toThrow('WRONGTYPE');
    const reading = await broker().subscribe({ stream, lastId: '0' });
    expect((await reading.next())?.body).toBe(1);
    expect(await reading.next({ timeout: 20 })).toBeNull();
    expect(await client.publish('first', { list })).toBe(1);
  });

  it('sends nothing where one message cannot be sent', async () => {
    const { broker, name } = bench();
    const client = broker();
    const list = name();
    const typed = event({ list }, { schema: z.object({ n: z.number() }) });
    const asked = rpc({ list }, { request: z.number(), reply: z.number() });
    const pipeline = client.pipeline();
    const fine = (): typeof pipeline => pipeline.publish('fine', { list });
    const bad: [() => Promise<unknown>, object][] = [
      [() => fine().publish(1n, { list }).send(), { code: 'ENCODE' }],
      [
        () =>
          fine()
            .publish({ n: 'x' } as never, typed)
            .send(),
        { code: 'INVALID_MESSAGE' },
      ],
      [
        () =>
          fine()
            .publish(1, { list, stream: 'b' } as never)
            .send(),
        { code: 'SETUP' },
      ],
      [
        () =>
          fine()
            .publish(1, { list, timeout: 5 } as never)
            .send(),
        { code: 'SETUP' },
      ],
      [
        () =>
          fine()
            .publish(1, asked as never)
            .send(),
        { message: expect.stringContaining("leave 'rpc' out") },
      ],
    ];
    for (const [send, error] of bad) await expect(send()).rejects.toMatchObject(error);
    expect(await client.publish('first', { list })).toBe(1);
  });

  it('takes its messages through middleware, in order whatever that does', async () => {
    const { broker, name } = bench();
    const client = broker({
      middlewares: [
        {
          publish: async (command, next) => {
            if (command.body === 'slow') await new Promise((resolve) => setTimeout(resolve, 20));
            if (command.body === 'kept') return 'answered';
            command.body = `${String(command.body)}!`;
            return `${String(await next())}.`;
          },
        },
      ],
    });
    const list = name();
    const sent = client.pipeline();
    for (const body of ['slow', 'kept', 'quick']) sent.publish(body, { list });
    expect(await sent.send()).toEqual(['1.', 'answered', '2.']);
    await using consumer = await broker().subscribe({ list });
    expect((await consumer.next())?.body).toBe('slow!');
    expect((await consumer.next())?.body).toBe('quick!');
  });
});

it('a transaction that Redis discards says so for every message', async () => {
  const [list, server] = [unique(), await ownServer()];
  const broker = newBroker(server.url);
  await broker.connect();
  await rawClient(server.url).call('CONFIG', 'SET', 'maxmemory', '1');
  const sending = broker
    .pipeline({ transaction: true })
    .publish(1, { list })
    .publish(2, { list })
    .send();
  const error = await sending.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(PipelineError);
  const refused = { status: 'rejected', reason: expect.any(SendError) };
  expect(error).toMatchObject({ results: [refused, refused] });
  // EXECABORT is what Redis says of the whole, and tells nobody what to do.
  expect(String(error)).toContain('OOM');
});

it('a transaction of a pipeline is one MULTI, with no other command between', async () => {
  const list = unique();
  // Of its own: what other tests send could come between.
  const { url } = await ownServer();
  const commands: string[] = [];
  await monitor((args) => {
    commands.push(`${args[0]?.toUpperCase()} ${args[1] ?? ''}`);
  }, url);
  const broker = newBroker(url);
  await broker.connect();
  const others = Array.from({ length: 20 }, (_, i) => broker.publish(i, { list: `${list}:other` }));
  const pipeline = broker.pipeline({ transaction: true });
  for (let i = 0; i < 5; i++) pipeline.publish(i, { list });
  await Promise.all([...others, pipeline.send(), broker.publish(1, { list: `${list}:other` })]);
  await expect.poll(() => commands.filter((c) => c.endsWith(`RPUSH ${list}`)).length).toBe(5);
  const first = commands.findIndex((c) => c.endsWith(`RPUSH ${list}`));
  expect(commands[first - 1]).toContain('MULTI');
  expect(commands.slice(first, first + 5).every((c) => c.endsWith(`RPUSH ${list}`))).toBe(true);
  expect(commands[first + 5]).toContain('EXEC');
});
