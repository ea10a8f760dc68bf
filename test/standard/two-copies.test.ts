import * as own from 'redstart';
import { expect, it, vi } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { unique } from '../support/redis.ts';

vi.resetModules();
const other = await import('redstart');

it('standard decorators, a Response and an RpcError of another copy of redstart work', async () => {
  class Service {
    @other.subscriber({ list: 'a' })
    a(): unknown {
      return new other.Response('x', { headers: { h: '1' } });
    }

    @other.subscriber({ list: 'b', onError: [own.onError(own.RpcError, () => 'caught')] })
    b(): unknown {
      throw new other.RpcError('NO');
    }
  }
  expect(other.Response).not.toBe(own.Response);
  const broker = newBroker(`memory://${unique()}`);
  broker.register(new Service());
  await broker.start();
  const answer = await broker.request(1, { list: 'a', timeout: 20_000 });
  expect([answer.body, answer.headers['h']]).toEqual(['x', '1']);
  expect(await broker.publish(1, { list: 'b', rpc: true, timeout: 20_000 })).toBe('caught');
});

it('a method under the standard decorator of a broker that a subclass decorates anew is the subclass’s', async () => {
  const broker = newBroker(`memory://${unique()}`);
  class A {
    @broker.subscriber({ list: 'x' })
    m(): string {
      return 'A';
    }
  }
  class B extends A {
    @broker.subscriber({ list: 'y' })
    override m(): string {
      return 'B';
    }
  }
  broker.register(new B());
  await broker.start();
  expect(await broker.publish(1, { list: 'y', rpc: true, timeout: 20_000 })).toBe('B');
});
