import { RemoteError, subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

onBothBackends('a call', (bench) => {
  it('resolves with what a decorated method returns', async () => {
    const { broker, name } = bench();
    const channel = name();
    class Prices {
      readonly cents = 1999;
      @subscriber(channel)
      price(sku: string): object {
        return { sku, cents: this.cents };
      }
    }
    const service = broker();
    service.register(new Prices());
    await service.start();
    const answer = await service.publish('A-1', { channel, rpc: true, timeout: 3_000 });
    expect(answer).toEqual({ sku: 'A-1', cents: 1999 });
  });

  it('rejects with a RemoteError where the handler throws', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    service.subscriber(channel, () => {
      throw Object.assign(new RangeError('too far'), { code: 'E_FAR', data: { by: 2 } });
    });
    await service.start();
    const call = service.publish(1, { channel, rpc: true, timeout: 3_000 });
    await expect(call).rejects.toMatchObject({
      remoteName: 'RangeError',
      message: 'too far',
      remoteCode: 'E_FAR',
      data: { by: 2 },
    });
    await expect(call).rejects.toBeInstanceOf(RemoteError);
    expect(takeLogs()).toHaveLength(1);
  });
});
