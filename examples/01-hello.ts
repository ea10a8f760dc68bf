// A method that handles what comes to a channel; a message to it, and a call.
import { RedisBroker, subscriber } from 'redstart';

class Greeter {
  @subscriber('hello')
  greet(name: string): string {
    console.log(`greeting ${name}`);
    return `hello, ${name}`;
  }
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
await using broker = new RedisBroker(url, { prefix: 'example-01:' });
broker.register(new Greeter());
await broker.start();

// Nobody waits for an answer here: what comes back is the number of subscribers that were reached.
const receivers = await broker.publish('Ada', 'hello');
console.log(`reached ${receivers} subscriber`);

// With `rpc: true`, publish resolves with what the method returned.
const answer = await broker.publish('Grace', { channel: 'hello', rpc: true, timeout: 3_000 });
console.log(`answer: ${answer}`);
