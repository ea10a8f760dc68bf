import { RedisRouter, SetupError, type Middleware } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';

onBothBackends('include with options', (bench) => {
  it('puts a prefix before the names of subscribers and publishers, and middleware around handlers', async () => {
    const { broker, name } = bench();
    const service = broker({ prefix: name('b.') });
    const seen: string[] = [];
    const middleware =
      (text: string): Middleware =>
      (_, next) => {
        seen.push(text);
        return next();
      };
    const router = new RedisRouter({ prefix: 'r.', middlewares: [middleware('router')] });
    router.subscriber({ list: 'in' }, () => 'found');
    const out = router.publisher({ list: 'out' });
    service.include(router, { prefix: 'v1.', middlewares: [middleware('between')] });
    await service.start();
    const call = { list: 'v1.r.in', rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('found');
    expect(seen).toEqual(['between', 'router']);
    expect(await out.publish(1)).toBe(1);
    expect(await service.publish(1, { list: 'v1.r.out' })).toBe(2);
  });

  it('may be called twice for one router under two prefixes; a second time under one changes nothing', async () => {
    const { broker, name } = bench();
    const service = broker();
    const router = new RedisRouter();
    router.subscriber('in', () => 'found');
    service.include(router, { prefix: name('a.') });
    service.include(router, { prefix: name('a.') });
    service.include(router, { prefix: name('b.') });
    await service.start();
    expect(await service.publish(1, name('a.in'))).toBe(1);
    expect(await service.publish(1, name('b.in'))).toBe(1);
  });

  it('refuses options that a router does not have, and what is no router, and changes nothing then', async () => {
    const { broker, name } = bench();
    const service = broker();
    const router = new RedisRouter();
    router.subscriber('in', () => 'found');
    expect(() => service.include(router, { prefx: 'a.' } as object)).toThrow(SetupError);
    expect(() => service.include({} as RedisRouter, { prefix: 'a.' })).toThrow(
      /expected a RedisRouter/,
    );
    service.include(router, { prefix: name('a.') });
    await service.start();
    expect(await service.publish(1, name('a.in'))).toBe(1);
  });
});
