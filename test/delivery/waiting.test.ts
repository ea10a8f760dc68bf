import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

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
    await expect.poll(() => handled, { timeout: 20_000 }).toBe(messages);
    expect(firsts).toBe(messages);
    expect(takeLogs()).toHaveLength(messages);
  });
});
