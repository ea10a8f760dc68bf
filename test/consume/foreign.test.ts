import { describe, expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

/** What others send, and what a handler sees of it. */
const PAYLOADS: [string | Buffer, unknown][] = [
  ['plain words', Buffer.from('plain words')],
  ['{"id":7,"tags":["a"]}', { id: 7, tags: ['a'] }],
  ['123', 123],
  ['null', null],
  [Buffer.from([0xff, 0x00, 0xfe]), Buffer.from([0xff, 0x00, 0xfe])],
  // An object that merely has a key named `data` is somebody's own.
  ['{"data":"x","id":1}', { data: 'x', id: 1 }],
  ['{"data":{"a":1}}', { data: { a: 1 } }],
  ['{"data":1,"headers":{}}', { data: 1, headers: {} }],
];

describe('messages of programs that know nothing of frames', () => {
  it('are delivered from a channel as they are', async () => {
    const [broker, client, channel] = [newBroker(redisUrl()), rawClient(), unique()];
    const seen: unknown[] = [];
    broker.subscriber(channel, (body) => void seen.push(body));
    await broker.start();
    for (const [payload] of PAYLOADS) await client.publish(channel, payload);
    await eventually(() => expect(seen).toHaveLength(PAYLOADS.length));
    expect(seen).toEqual(PAYLOADS.map(([, body]) => body));
  });

  it('are delivered from a list as they are', async () => {
    const [broker, client, list] = [newBroker(redisUrl()), rawClient(), unique()];
    const seen: unknown[] = [];
    broker.subscriber({ list }, (body) => void seen.push(body));
    await client.rpush(list, ...PAYLOADS.map(([payload]) => payload));
    await broker.start();
    await eventually(() => expect(seen).toHaveLength(PAYLOADS.length));
    expect(seen).toEqual(PAYLOADS.map(([, body]) => body));
  });

  it('are delivered in a batch as they are', async () => {
    const [broker, client, list] = [newBroker(redisUrl()), rawClient(), unique()];
    const seen: unknown[] = [];
    broker.subscriber({ list, batch: true }, (bodies) => void seen.push(...bodies));
    await client.rpush(list, ...PAYLOADS.map(([payload]) => payload));
    await broker.start();
    await eventually(() => expect(seen).toHaveLength(PAYLOADS.length));
    expect(seen).toEqual(PAYLOADS.map(([, body]) => body));
  });

  it.each([{}, { group: 'g' }])('are objects of their fields in a stream (%o)', async (options) => {
    const [broker, client, stream] = [newBroker(redisUrl()), rawClient(), unique()];
    const seen: unknown[] = [];
    broker.subscriber({ stream, ...options }, (body) => void seen.push(body));
    await broker.start();
    await client.xadd(stream, '*', 'temperature', '21', 'room', 'küche');
    await client.xadd(stream, '*', 'data', 'x');
    await client.xadd(stream, '*', 'data', '{"a":1}', 'id', '1');
    await eventually(() => expect(seen).toHaveLength(3));
    expect(seen).toEqual([
      { temperature: '21', room: 'küche' },
      { data: 'x' },
      { data: '{"a":1}', id: '1' },
    ]);
  });

  it('have no headers, no reply address, and a correlation id made up here', async () => {
    const [broker, client, channel] = [newBroker(redisUrl()), rawClient(), unique()];
    const seen: unknown[] = [];
    broker.subscriber(channel, (_, { message }) => {
      const { headers, replyTo, contentType, raw, correlationId } = message;
      seen.push({ headers: { ...headers }, replyTo, contentType, raw, correlationId });
    });
    await broker.start();
    await client.publish(channel, 'hi');
    await eventually(() => expect(seen).toHaveLength(1));
    expect(seen).toEqual([
      {
        headers: {},
        replyTo: undefined,
        contentType: undefined,
        raw: Buffer.from('hi'),
        correlationId: expect.stringMatching(/^.{8,}$/),
      },
    ]);
  });

  it("are FastStream's older JSON envelope only where they look like nothing else", async () => {
    const [broker, client, channel] = [newBroker(redisUrl()), rawClient(), unique()];
    const seen: unknown[] = [];
    broker.subscriber(channel, (body, { message }) => void seen.push([body, message.headers['x']]));
    await broker.start();
    await client.publish(channel, '{"data":"hello","headers":{"x":"1"}}');
    await client.publish(channel, '{"data":"hello","headers":{"x":"1"},"more":1}');
    await eventually(() => expect(seen).toHaveLength(2));
    expect(seen[0]).toEqual([Buffer.from('hello'), '1']);
    expect(seen[1]).toEqual([{ data: 'hello', headers: { x: '1' }, more: 1 }, undefined]);
  });
});

onBothBackends('a body that is not what its content type says', (bench) => {
  it('is one failed message, and the next is handled', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void seen.push(body));
    await service.start();
    const headers = { 'content-type': 'application/json' };
    await service.publish('{broken', { list: name(), headers });
    await service.publish('whole', { list: name() });
    await eventually(() => expect(seen).toEqual(['whole']));
    expect(takeLogs()).toMatchObject([{ level: 'error', error: { code: 'DECODE' } }]);
  });
});
