import { RemoteError } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

onBothBackends('an array of promises that a batch handler returns', (bench) => {
  it('is awaited: each caller gets its own answer, and one that rejects fails its message alone', async () => {
    const { broker, name } = bench();
    const [service, client] = [broker(), broker()];
    const list = name();
    const batches: number[][] = [];
    const three = { batch: true, maxRecords: 3, maxWait: 20_000 } as const;
    service.subscriber({ list, ...three }, (bodies: number[]) => {
      batches.push(bodies);
      return bodies.map(async (n) => {
        await pause(n);
        // The last one rejects first: while the others are waited for, somebody must hear of it.
        if (n === 0) throw new RangeError('no zero');
        return n * 2;
      });
    });
    await service.start();
    const answers = await Promise.allSettled(
      [20, 10, 0].map((n) => client.publish(n, { list, rpc: true, timeout: 20_000 })),
    );
    expect(answers).toMatchObject([
      { value: 40 },
      { value: 20 },
      { reason: { remoteName: 'RangeError', message: 'no zero' } },
    ]);
    expect(batches).toEqual([[20, 10, 0]]);
    expect((answers[2] as PromiseRejectedResult).reason).toBeInstanceOf(RemoteError);
    expect(takeLogs()).toMatchObject([{ error: { message: 'no zero' } }]);
  });

  it('fails the whole batch where one rejects and there is not one for each message', async () => {
    const { broker, name } = bench();
    const service = broker();
    const list = name();
    const seen: number[][] = [];
    service.subscriber(
      { list, reliable: true, batch: true, retry: { backoff: 0 } },
      (bodies: number[]) => {
        seen.push(bodies);
        return seen.length === 1
          ? [Promise.reject(new RangeError('one of two')), Promise.resolve(1)]
          : [];
      },
    );
    await service.publishBatch([1, 2, 3], { list });
    await service.start();
    await eventually(() => expect(seen.flat()).toEqual([1, 2, 3, 1, 2, 3]));
    for (const { error } of takeLogs()) expect(error).toMatchObject({ message: 'one of two' });
  });

  it('is awaited before the dependencies of the handler are cleaned up', async () => {
    const { broker, name } = bench();
    const service = broker();
    const list = name();
    const steps: string[] = [];
    function* transaction(): Generator<string> {
      yield 'open';
      steps.push('committed');
    }
    service.subscriber({ list, batch: true, inject: { transaction } }, (bodies: number[]) =>
      bodies.map(async () => {
        await pause(20);
        steps.push('worked');
      }),
    );
    await service.publishBatch([1, 2], { list });
    await service.start();
    await eventually(() => expect(steps).toEqual(['worked', 'worked', 'committed']));
  });
});
