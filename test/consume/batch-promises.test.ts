import { RemoteError } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

onBothBackends('an array of promises that a batch handler returns', (bench) => {
  it('is awaited: each caller gets its own answer, and one that rejects fails its message alone', async () => {
    const { broker, name } = bench();
    const service = broker();
    const list = name();
    service.subscriber({ list, batch: true, maxWait: 50 }, (bodies: number[]) =>
      bodies.map(async (n) => {
        await new Promise((resolve) => setTimeout(resolve, n));
        // The last one rejects first: while the others are waited for, somebody must hear of it.
        if (n === 0) throw new RangeError('no zero');
        return n * 2;
      }),
    );
    await service.start();
    const client = broker();
    const answers = await Promise.allSettled(
      [20, 10, 0].map((n) => client.publish(n, { list, rpc: true, timeout: 5_000 })),
    );
    expect(answers).toMatchObject([
      { value: 40 },
      { value: 20 },
      { reason: { remoteName: 'RangeError', message: 'no zero' } },
    ]);
    expect((answers[2] as PromiseRejectedResult).reason).toBeInstanceOf(RemoteError);
    expect(takeLogs()).toMatchObject([{ error: { message: 'no zero' } }]);
  });
});
