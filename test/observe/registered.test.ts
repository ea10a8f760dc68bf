import { RedisBroker, RedisRouter, SetupError, handlersOf, publisher, subscriber } from 'redstart';
import { describe, expect, it } from 'vitest';

class Base {
  @subscriber('base')
  base() {}

  @subscriber('hidden')
  own() {}
}

class Orders extends Base {
  @publisher({ list: 'out' }, { title: 'out' })
  @subscriber({ list: 'orders' }, { concurrency: 2 })
  place() {}

  @subscriber('own')
  override own() {}
}

describe('handlersOf', () => {
  it('tells which methods of a class are decorated, and with what, inherited ones included', () => {
    const found = handlersOf(Orders).map(({ type, method, address, options }) => [
      `${type} ${String(method)}`,
      address,
      options,
    ]);
    expect(found).toEqual(
      expect.arrayContaining([
        ['subscriber place', { list: 'orders' }, { concurrency: 2 }],
        ['publisher place', { list: 'out' }, { title: 'out' }],
        ['subscriber own', 'own', undefined],
        ['subscriber base', 'base', undefined],
      ]),
    );
    expect(found).toHaveLength(4);
    expect(handlersOf(Map)).toEqual([]);
  });

  it('refuses what is no class', () => {
    expect(() => handlersOf(new Orders() as never)).toThrow(SetupError);
  });
});

describe('broker.subscribersOf', () => {
  it('finds the subscribers of an instance or a class, in included routers too', () => {
    const broker = new RedisBroker('memory://');
    const router = new RedisRouter();
    const [a, b] = [new Orders(), new Orders()];
    broker.register(a);
    router.register(b);
    broker.include(router);
    const titles = (of: object): string[] => broker.subscribersOf(of).map(({ title }) => title);
    expect(titles(a)).toHaveLength(3);
    expect(titles(a)).toContain('Orders.place');
    expect(titles(Orders)).toHaveLength(6);
    expect(titles(new Orders())).toEqual([]);
    expect(broker.subscribersOf(a).map(({ address }) => address)).toContain("list 'orders'");
  });
});
