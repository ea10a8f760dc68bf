// What docs/faststream.md says of FastStream, and of redstart beside it: the same bytes go to both.
import { binaryFormat, publisher, subscriber, type Headers, type MessageContext } from 'redstart';
import { describe, expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { Caller, Service, type Seen } from './peer.ts';
import { findPython, versionIn } from './python.ts';

const python = await findPython();
const [, minor = 0, patch = 0] = python === undefined ? [] : await versionIn(python);
/** Whether `timeout=None` of a request waits. */
const waitsForever = minor > 7 || (minor === 7 && patch >= 8);

const frame = (headers: Headers, body: string | Uint8Array): Buffer =>
  Buffer.from(binaryFormat.encode({ headers, body: Buffer.from(body) }));

const TYPE = 'content-type';
const envelope = (value: object): Buffer => Buffer.from(JSON.stringify(value));

/** A frame of a version that nobody knows. */
function unknownVersion(): Buffer {
  const bytes = frame({ 'x-a': 'b' }, '{"n":1}');
  bytes.writeUInt16BE(2, 8);
  return bytes;
}

/** A frame whose header block begins well, and then claims more than there is. */
function damaged(): Buffer {
  const bytes = frame({ 'x-a': 'b', 'x-c': 'd' }, '{"n":1}');
  bytes.writeUInt16BE(0xffff, bytes.lastIndexOf('x-c') - 2);
  return bytes;
}

const bodyOf = (context: MessageContext | undefined): unknown => context?.message.body;

describe.skipIf(python === undefined)('the differences that the guide lists', () => {
  const service = new Service(python as string);
  const caller = new Caller(python as string);

  /** What a FastStream and a redstart handler make of the same bytes on a channel. */
  async function both(bytes: Buffer): Promise<{ theirs: Seen; ours: MessageContext | undefined }> {
    const broker = newBroker(redisUrl());
    const channel = service.name('channel:seen');
    let ours: MessageContext | undefined;
    broker.subscriber(channel, (body, context) => {
      if (body !== 'marker') ours = context;
    });
    await broker.start();
    await rawClient().publish(channel, bytes);
    await broker.publish('marker', channel);
    const seen: Seen[] = [];
    await eventually(() => {
      seen.push(...service.take('channel:seen'));
      expect(seen).toHaveLength(2);
    });
    await broker.stop();
    return { theirs: seen[0] as Seen, ours };
  }

  it('an empty body is b"" there and null here', async () => {
    const { theirs, ours } = await both(frame({}, ''));
    expect(theirs.body).toEqual(Buffer.alloc(0));
    expect(bodyOf(ours)).toBeNull();
  });

  it('text/plain; charset=utf-8 is bytes there and text here', async () => {
    const { theirs, ours } = await both(frame({ [TYPE]: 'text/plain; charset=utf-8' }, 'ž'));
    expect(theirs.body).toEqual(Buffer.from('ž'));
    expect(bodyOf(ours)).toBe('ž');
  });

  it('an unknown version is the body there, and an error here', async () => {
    const { theirs, ours } = await both(unknownVersion());
    expect(theirs.body).toEqual(unknownVersion());
    expect(theirs.headers).toEqual({});
    expect(ours).toBeUndefined();
    expect(takeLogs()).toMatchObject([{ error: { code: 'DECODE' } }]);
  });

  it('of a damaged frame the headers before the damage and the body are saved here', async () => {
    const { theirs, ours } = await both(damaged());
    expect(theirs).not.toMatchObject({ body: { n: 1 }, headers: { 'x-a': 'b' } });
    expect(bodyOf(ours)).toEqual({ n: 1 });
    expect(ours?.message.headers).toMatchObject({ 'x-a': 'b' });
  });

  it('a JSON object with text in `data` is the older envelope there; here only with both its keys', async () => {
    const foreign = { data: '{"n":1}', other: true };
    const { theirs, ours } = await both(envelope(foreign));
    expect(theirs.body).toEqual({ n: 1 });
    expect(bodyOf(ours)).toEqual(foreign);
    const genuine = await both(envelope({ data: '{"n":1}', headers: { correlation_id: 'c' } }));
    expect(genuine.theirs).toMatchObject({ body: { n: 1 }, correlationId: 'c' });
    expect(genuine.ours?.message).toMatchObject({ body: { n: 1 }, correlationId: 'c' });
  });

  it('without a content type a body is JSON if it parses, and bytes if not, on both sides', async () => {
    for (const [text, body] of [
      ['{"n":1}', { n: 1 }],
      ['17', 17],
      ['plain', Buffer.from('plain')],
    ] as const) {
      const { theirs, ours } = await both(Buffer.from(text));
      expect([theirs.body, bodyOf(ours)]).toEqual([body, body]);
    }
  });

  it('somebody else’s stream entry is its fields; with a field `data` FastStream takes that alone', async () => {
    const broker = newBroker(redisUrl());
    const stream = service.name('stream:seen');
    const ours: unknown[] = [];
    broker.subscriber({ stream }, (body) => void ours.push(body));
    await broker.start();
    const entries = [
      ['sku', 'A-1', 'n', '1'],
      ['data', '{"n":1}', 'more', 'yes'],
    ];
    for (const fields of entries) await rawClient().xadd(stream, '*', ...fields);
    const theirs: unknown[] = [];
    await eventually(() => {
      theirs.push(...service.take('stream:seen').map(({ body }) => body));
      expect([theirs.length, ours.length]).toEqual([2, 2]);
    });
    expect(theirs).toEqual([{ sku: 'A-1', n: '1' }, { n: 1 }]);
    expect(ours).toEqual([
      { sku: 'A-1', n: '1' },
      { data: '{"n":1}', more: 'yes' },
    ]);
  });

  it('batch items are decoded as JSON whatever they are there, and by their content type here', async () => {
    const broker = newBroker(redisUrl());
    await broker.publishBatch(['17', { n: 1 }], { list: service.name('list:batch') });
    const theirs = await eventually(() => service.take('list:batch')[0] ?? false);
    expect((theirs as Seen).body).toEqual([17, { n: 1 }]);
    // One that JSON cannot carry loses its batch, as the one after it shows.
    await broker.publishBatch([Buffer.from([255]), 'lost'], { list: service.name('list:batch') });
    await eventually(async () => (await rawClient().llen(service.name('list:batch'))) === 0);
    await broker.publishBatch([1, 2], { list: service.name('list:batch') });
    const next = await eventually(() => service.take('list:batch')[0] ?? false);
    expect((next as Seen).body).toEqual([1, 2]);
    // The same batches here.
    const [list, ours]: [string, unknown[]] = [unique('batch'), []];
    await broker.publishBatch(['17', Buffer.from([255]), { n: 1 }], { list });
    broker.subscriber({ list, batch: true }, (bodies) => void ours.push(...bodies));
    await broker.start();
    await eventually(() => expect(ours).toEqual(['17', Buffer.from([255]), { n: 1 }]));
  });

  it('a template takes more levels than it names there, and not here', async () => {
    const broker = newBroker(redisUrl());
    const ours: unknown[] = [];
    broker.subscriber(service.name('any.{level}'), (body) => void ours.push(body));
    await broker.start();
    for (const name of ['any.a.b', 'any.last']) await broker.publish(name, service.name(name));
    const theirs: Seen[] = [];
    await eventually(() => {
      theirs.push(...service.take('any'));
      expect([theirs.length, ours.length]).toEqual([2, 1]);
    });
    expect(theirs).toMatchObject([{ body: 'any.a.b', path: [] }, { path: ['last'] }]);
    expect(ours).toEqual(['any.last']);
  });

  it('a publisher of nothing sends an empty message there, and nothing here', async () => {
    const broker = newBroker(redisUrl());
    const [input, output] = [unique('input'), unique('output')];
    const theirs: unknown[] = [];
    const ours: unknown[] = [];
    class Relay {
      @subscriber(input)
      @publisher(output)
      relay(body: unknown): unknown {
        return body === 'nothing' ? undefined : body;
      }
    }
    broker.register(new Relay());
    broker.subscriber(service.name('forward:channel'), (body) => void theirs.push(body));
    broker.subscriber(output, (body) => void ours.push(body));
    await broker.start();
    for (const body of ['nothing', 'marker']) {
      await broker.publish(body, input);
      await broker.publish(body, service.name('channel:forwarded'));
    }
    await eventually(() => expect([ours, theirs]).toEqual([['marker'], [null, 'marker']]));
  });

  it('publishing: a number in a header, an empty batch and two destinations', async () => {
    const [channel, list] = [unique('channel'), unique('list')];
    const number = caller.publish('x', { channel, headers: { 'x-n': 7 } });
    await expect(number).rejects.toMatchObject({ type: 'TypeError' });
    await expect(caller.publishBatch([], { list })).rejects.toHaveProperty('type');
    expect(await caller.publish('x', { channel, list })).toBe(0);
    expect(await rawClient().llen(list)).toBe(0);
    const broker = newBroker(redisUrl());
    expect(await broker.publishBatch([], { list })).toBe(0);
    const two = broker.publish('x', { channel, list } as unknown as { channel: string });
    await expect(two).rejects.toMatchObject({ code: 'SETUP' });
    const wrong = { 'x-n': { n: 1 } } as unknown as { 'x-n': string };
    await expect(broker.publish('x', { channel, headers: wrong })).rejects.toThrow(/x-n/);
  });

  it('calls: timeout=None is over at once before 0.7.8 and waits since, and null waits here', async () => {
    const broker = newBroker(redisUrl());
    const channel = unique('slow');
    const finished = deferred<string>();
    broker.subscriber(channel, () => finished.promise);
    await broker.start();
    const theirs = caller.request('x', { channel, timeout: null });
    // Where it waits, it has not settled when the handler has nothing to say yet.
    const early = waitsForever ? 'waits' : await theirs;
    expect(early).toBe(waitsForever ? 'waits' : null);
    const waiting = broker.publish('x', { channel, rpc: true, timeout: null });
    finished.resolve('done');
    expect(await waiting).toBe('done');
    const answer = (await theirs) as { body: unknown } | null;
    expect(answer?.body).toBe(waitsForever ? 'done' : undefined);
  });

  it('a call to a channel without subscribers times out there', async () => {
    const call = caller.request('x', { channel: unique('nobody'), timeout: 0.2 });
    await expect(call).rejects.toMatchObject({ type: 'TimeoutError' });
  });

  it('echoing a request’s headers asks for an answer to the answer there', async () => {
    const answers: Headers[] = [];
    const broker = newBroker(redisUrl());
    const replyTo = unique('reply');
    broker.subscriber({ channel: replyTo, noReply: true }, (_, { message }) => {
      answers.push(message.headers);
    });
    await broker.start();
    await broker.publish('x', { channel: service.name('channel:echoed-headers'), replyTo });
    await eventually(() => expect(answers).toHaveLength(1));
    expect(answers[0]).toMatchObject({ reply_to: replyTo });
  });
});
