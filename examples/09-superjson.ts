// Bodies as superjson: JSON that keeps dates, maps, sets and big integers what they are.
import { RedisBroker, defaultCodec, type Codec } from 'redstart';
import { parse, stringify } from 'superjson';

const TYPE = 'application/superjson';

const superJson: Codec = {
  encode: (value) => ({ body: stringify(value), contentType: TYPE }),
  // What others send as JSON or text is read as ever.
  decode: (body, type) =>
    type === TYPE ? parse(body.toString()) : defaultCodec.decode(body, type),
};

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-09:', codec: superJson });
broker.subscriber({ list: 'stock' }, (stock: Map<string, bigint>) => ({
  kinds: new Set(stock.keys()),
  total: [...stock.values()].reduce((sum, count) => sum + count, 0n),
}));
await broker.start();

const stock = new Map([
  ['bolts', 9_007_199_254_740_993n],
  ['nuts', 4n],
]);
const counted = await broker.publish<{ kinds: Set<string>; total: bigint }>(stock, {
  list: 'stock',
  rpc: true,
  timeout: 3_000,
});
console.log(`${counted.kinds.size} kinds, ${counted.total} pieces`);
