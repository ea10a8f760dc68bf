// One method behind a channel, a list and a stream, called over each of the three.
import { RedisBroker, subscriber, type Destination } from 'redstart';

class Calculator {
  @subscriber({ channel: 'square' })
  @subscriber({ list: 'square-queue' })
  @subscriber({ stream: 'square-stream', group: 'calculators' })
  square(n: number): { n: number; square: number } {
    return { n, square: n * n };
  }
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-02:' });
broker.register(new Calculator());
await broker.start();

const calls: [number, Destination][] = [
  [7, { channel: 'square' }],
  [8, { list: 'square-queue' }],
  [9, { stream: 'square-stream', maxlen: 1_000 }],
];

// The first call takes longer: it subscribes to the channel that all answers come to.
for (const [n, to] of calls) {
  const began = performance.now();
  const answer = await broker.publish(n, { ...to, rpc: true, timeout: 3_000 });
  const took = (performance.now() - began).toFixed(1);
  const [structure] = Object.keys(to);
  console.log(`${structure}: sent ${n}, got ${JSON.stringify(answer)} in ${took} ms`);
}
