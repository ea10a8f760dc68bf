import { RpcError, binaryFormat, type Codec, type MessageFormat } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

/** JSON behind a mark of its own. */
function marked(mark: string): Codec {
  return {
    encode: (body) => ({
      body: mark + JSON.stringify(body ?? null),
      contentType: `application/x-${mark}`,
    }),
    decode(payload) {
      const text = payload.toString();
      if (!text.startsWith(mark)) throw new Error(`not marked with ${mark}`);
      return JSON.parse(text.slice(mark.length)) as unknown;
    },
  };
}

/** The same frame, behind one byte. */
const shifted: MessageFormat = {
  encode: (message) => Buffer.concat([Buffer.from('!'), binaryFormat.encode(message)]),
  decode(frame) {
    if (frame[0] !== 0x21) throw new Error('not shifted');
    return binaryFormat.decode(frame.subarray(1));
  },
};

onBothBackends('a codec of the user’s', (bench) => {
  it('writes and reads what a broker sends, answers to calls among them', async () => {
    const { broker, name } = bench();
    const service = broker({ codec: marked('A') });
    const raws: string[] = [];
    service.subscriber({ list: name() }, (body: { n: number }, { message }) => {
      raws.push(message.raw.subarray(message.raw.indexOf('A{')).toString());
      return { n: body.n + 1 };
    });
    await service.start();
    const answer = await service.request({ n: 1 }, { list: name(), timeout: 20_000 });
    expect(answer.body).toEqual({ n: 2 });
    expect(answer.contentType).toBe('application/x-A');
    expect(raws).toEqual(['A{"n":1}']);
  });

  it('on a subscriber or publisher wins over the broker’s', async () => {
    const { broker, name } = bench();
    const service = broker({ codec: marked('A') });
    const bodies: unknown[] = [];
    service.subscriber({ list: name() }, { codec: marked('B') }, (body) => void bodies.push(body));
    await service.start();
    await service.publisher({ list: name() }, { codec: marked('B') }).publish(1);
    await eventually(() => expect(bodies).toEqual([1]));
    await service.publish(2, { list: name() });
    await eventually(() => expect(takeLogs()).toMatchObject([{ level: 'error' }]));
    expect(bodies).toEqual([1]);
  });

  it('of a publisher reads the answers to its calls, and errors reach every caller', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), codec: marked('A') }, (body: string) => {
      if (body === 'bad') throw new RpcError('BAD', 'very', { n: 1 });
      return body;
    });
    await service.start();
    const loud = service.publisher({ list: name() }, { codec: marked('A') });
    expect((await loud.request('hello')).body).toBe('hello');
    const failure = { code: 'BAD', message: 'very', data: { n: 1 } };
    await expect(loud.request('bad')).rejects.toMatchObject(failure);
    const plain = service.request(Buffer.from('A"bad"'), { list: name(), timeout: 20_000 });
    await expect(plain).rejects.toMatchObject(failure);
  });

  it('reads messages that are taken by hand', async () => {
    const { broker, name } = bench();
    const service = broker({ codec: marked('A') });
    await using consumer = await service.subscribe({ list: name() });
    await service.publish({ n: 1 }, { list: name() });
    expect((await consumer.next({ timeout: 20_000 }))?.body).toEqual({ n: 1 });
  });
});

onBothBackends('a format of the user’s', (bench) => {
  it('frames what a broker sends and reads, headers and calls among it', async () => {
    const { broker, name } = bench();
    const service = broker({ format: shifted });
    service.subscriber({ channel: name() }, (body: unknown, { message }) => [
      body,
      message.headers['tenant'],
      message.raw[0],
    ]);
    await service.start();
    const options = { channel: name(), headers: { tenant: 'acme' }, timeout: 20_000 };
    expect((await service.request('x', options)).body).toEqual(['x', 'acme', 0x21]);
  });

  it('on a subscriber wins over the broker’s', async () => {
    const { broker, name } = bench();
    const service = broker();
    const bodies: unknown[] = [];
    service.subscriber({ list: name() }, { format: shifted }, (body) => void bodies.push(body));
    await service.start();
    await service.publisher({ list: name() }, { format: shifted }).publish('shifted');
    await eventually(() => expect(bodies).toEqual(['shifted']));
  });
});
