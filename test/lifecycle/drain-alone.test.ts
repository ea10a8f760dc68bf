import { expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { onBothBackends } from '../support/broker.ts';

onBothBackends('drain', (bench) => {
  it('ends handlers and takes nothing more, while publishing and calls still work', async () => {
    const { broker, name } = bench();
    const [service, other] = [broker(), broker()];
    const [list, channel] = [name('orders'), name('prices')];
    const [begun, release] = [deferred<void>(), deferred<void>()];
    const ended: string[] = [];
    service.subscriber({ list }, async (sku: string) => {
      begun.resolve();
      await release.promise;
      ended.push(sku);
    });
    other.subscriber(channel, (sku: string) => ({ sku }));
    await Promise.all([service.start(), other.start()]);
    await other.publish('A-1', { list });
    await begun.promise;

    const draining = service.drain();
    expect((await service.health()).ready).toBe(false);
    release.resolve();
    await draining;
    expect(ended).toEqual(['A-1']);
    expect(await service.publish('A-2', { list })).toBe(1);
    expect(await service.publish('A-3', { channel, rpc: true, timeout: 40_000 })).toEqual({
      sku: 'A-3',
    });
    expect((await service.health()).connected).toBe(true);

    await service.stop();
    await service.start();
    await expect.poll(() => ended).toEqual(['A-1', 'A-2']);
    expect((await service.health()).ready).toBe(true);
  });
});
