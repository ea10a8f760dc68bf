import { expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs, type LogLine } from '../support/logs.ts';

const isExpected = ({ error }: LogLine): boolean => (error as Error)?.message === 'not yet';

onBothBackends('a subscriber with more than 1 000 messages that wait for a retry', (bench) => {
  it.each(['group', 'reliable list'] as const)('goes on when they come again: %s', async (kind) => {
    const { broker, name } = bench();
    const service = broker({ pause: false });
    const messages = 1_200;
    let firsts = 0;
    let handled = 0;
    const to = kind === 'group' ? { stream: name() } : { list: name() };
    const read = kind === 'group' ? { group: 'g' } : { reliable: true };
    service.subscriber(
      { ...to, ...read, concurrency: 50, retry: { backoff: 1_000 } } as never,
      async (_body, { message }) => {
        if (message.deliveryCount === 1) {
          firsts++;
          throw new Error('not yet');
        }
        handled++;
      },
    );
    await service.publishBatch(
      Array.from({ length: messages }, (_, i) => i),
      to as never,
    );
    await service.start();
    await expect.poll(() => handled).toBe(messages);
    expect(firsts).toBe(messages);
    const logs = takeLogs().filter(({ message }) => message.includes(name()));
    expect(logs.filter((line) => !isExpected(line))).toEqual([]);
    expect(logs).toHaveLength(messages);
  });
});

onBothBackends('a message whose handler is slow when it comes again', (bench) => {
  it.each(['group', 'reliable list'] as const)(
    'holds back no other message while another consumer is idle: %s',
    async (kind) => {
      const { broker, name } = bench();
      const to = kind === 'group' ? { stream: name() } : { list: name() };
      const read = kind === 'group' ? { group: 'g' } : { reliable: true };
      const address = { ...to, ...read, retry: { backoff: 50 } };
      const release = deferred<void>();
      const isSlow = deferred<void>();
      const first = broker();
      const handled: unknown[] = [];
      first.subscriber(address as never, async (body, { message }) => {
        if (body === 'slow') {
          if (message.deliveryCount === 1) throw new Error('not yet');
          isSlow.resolve();
          await release.promise;
        } else handled.push(body);
      });
      await first.start();
      await first.publish('slow', to as never);
      await isSlow.promise;
      // The first has begun to wait for more, before the second does.
      const second = broker();
      second.subscriber(address as never, (body) => void handled.push(body));
      await second.start();
      for (const body of ['a', 'b', 'c']) await second.publish(body, to as never);
      await expect
        .poll(() => handled.toSorted((x, y) => String(x).localeCompare(String(y))))
        .toEqual(['a', 'b', 'c']);
      release.resolve();
      takeLogs();
    },
  );
});
