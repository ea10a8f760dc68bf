// Answers with headers, the whole answering message, and an answer that lands in a stream.
import { RedisBroker, RedisResponse, Response, subscriber } from 'redstart';

class Prices {
  @subscriber('prices')
  price(sku: string): Response {
    return new Response({ sku, cents: 1999 }, { headers: { 'x-region': 'eu' } });
  }

  @subscriber({ list: 'quotes' })
  quote(sku: string): RedisResponse {
    // Keeps about 1 000 entries in the stream that the answer goes to.
    return new RedisResponse(`quote for ${sku}`, { maxlen: 1_000 });
  }
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-04:' });
broker.register(new Prices());
await broker.start();

// `request` resolves with the message; `publish` with `rpc: true` would give its body alone.
const reply = await broker.request<{ cents: number }>('A-1', {
  channel: 'prices',
  correlationId: 'order-17',
  timeout: 3_000,
});
console.log(`body: ${reply.body.cents} cents`);
console.log(`header x-region: ${reply.headers['x-region']}`);
console.log(`correlation id: ${reply.correlationId}`);

// `replyTo` sends the answer elsewhere, and the publisher does not wait for it.
const quotes = await broker.subscribe<never>({ stream: 'sent-quotes' });
await broker.publish('B-2', { list: 'quotes', replyTo: { stream: 'sent-quotes' } });
const quote = await quotes.next({ timeout: 3_000 });
console.log(`from the stream: ${quote?.body}`);
