// Bodies as MessagePack: smaller than JSON, and with bytes and dates in the middle of a value.
import { decode, encode } from '@msgpack/msgpack';
import { RedisBroker, defaultCodec, type Codec } from 'redstart';

const TYPE = 'application/msgpack';

const messagePack: Codec = {
  encode: (value) => ({ body: encode(value), contentType: TYPE }),
  // What others send as JSON or text is read as ever.
  decode: (body, type) => (type === TYPE ? decode(body) : defaultCodec.decode(body, type)),
};

interface Reading {
  at: Date;
  samples: Uint8Array;
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-08:', codec: messagePack });
broker.subscriber({ list: 'readings' }, ({ at, samples }: Reading) => ({
  year: at.getUTCFullYear(),
  highest: Math.max(...samples),
}));
await broker.start();

const reading: Reading = { at: new Date('2026-11-24'), samples: Uint8Array.of(3, 200, 7) };
const answer = await broker.request(reading, { list: 'readings', timeout: 3_000 });
console.log(`${answer.contentType}: ${JSON.stringify(answer.body)}`);
