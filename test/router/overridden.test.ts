import { RedisRouter, type RedisBroker } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { unique } from '../support/redis.ts';

const call = { rpc: true, timeout: 20_000 } as const;
const descriptorOf = (type: { prototype: object }): TypedPropertyDescriptor<() => string> =>
  Object.getOwnPropertyDescriptor(type.prototype, 'm') as TypedPropertyDescriptor<() => string>;

it.each(['a broker', 'a router'])(
  'a method under the decorator of %s that a subclass overrides and decorates anew is the subclass’s',
  async (owner) => {
    const broker = newBroker(`memory://${unique()}`);
    const at: RedisBroker | RedisRouter = owner === 'a broker' ? broker : new RedisRouter();
    class A {
      m(): string {
        return 'A';
      }
    }
    class B extends A {
      override m(): string {
        return 'B';
      }
    }
    at.subscriber({ list: 'x' })(A.prototype, 'm', descriptorOf(A));
    at.subscriber({ list: 'y' })(B.prototype, 'm', descriptorOf(B));
    at.register(new B());
    if (at instanceof RedisRouter) broker.include(at);
    await broker.start();
    expect(await broker.publish(1, { list: 'y', ...call })).toBe('B');
    expect(broker.subscribers.map(({ name }) => name)).toEqual(['y']);
  },
);

it('a class whose method is decorated and of which no instance is registered is still an error', async () => {
  const broker = newBroker(`memory://${unique()}`);
  class A {
    m(): string {
      return 'A';
    }
  }
  broker.subscriber({ list: 'x' })(A.prototype, 'm', descriptorOf(A));
  await expect(broker.start()).rejects.toThrow(/no instance of its class is registered/);
});
