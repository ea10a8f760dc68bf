import { getEventListeners } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';

onBothBackends('one AbortSignal for many calls', (bench) => {
  it('draws no warning of Node, leaves no listener, and ends all that still wait', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error): void => void warnings.push(warning.message);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name('l'), concurrency: 50 }, async (body) => body);
    service.subscriber({ list: name('many'), concurrency: 50 }, async function* (body) {
      yield body;
    });
    service.subscriber(name('c'), (body) => body);
    await service.start();
    const controller = new AbortController();
    const { signal } = controller;
    const call = { timeout: 20_000, signal };
    const all = Array.from({ length: 15 }, (_, i) => [
      service.publish(i, { list: name('l'), rpc: true, ...call }),
      service.request(i, { list: name('l'), ...call }),
      collect(service.requestMany(i, { list: name('many'), ...call })),
      service.gather(i, { channel: name('c'), ...call }),
    ]);
    await Promise.all(all.flat());
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    const ends = Array.from({ length: 15 }, (_, i) =>
      service
        .publish(i, { list: name('nobody'), rpc: true, ...call })
        .catch((error: Error) => error.name),
    );
    await expect.poll(() => service.stats.pendingCalls).toBe(15);
    controller.abort();
    expect(await Promise.all(ends)).toEqual(Array(15).fill('AbortError'));
    expect(service.stats.pendingCalls).toBe(0);
    await new Promise(setImmediate);
    expect(warnings).toEqual([]);
  });
});
