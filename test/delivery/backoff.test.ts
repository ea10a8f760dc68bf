import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const ODD: [what: string, backoff: unknown][] = [
  ['NaN', () => NaN],
  ['a negative number', () => -5],
  ['Infinity', () => Infinity],
  ['text', () => '100'],
  ['a promise', async () => 5],
  ['nothing', () => undefined],
  [
    'an error',
    () => {
      throw new Error('a backoff');
    },
  ],
];

onBothBackends('a backoff that gives', (bench) => {
  it.each(ODD)('%s is logged, and the default pause is made', async (_, backoff) => {
    const { broker, name } = bench();
    const service = broker();
    const at: number[] = [];
    const retry = { maxDeliveries: 2, backoff: backoff as () => number };
    service.subscriber(
      { stream: name(), group: 'g', retry, deadLetter: { list: name('dead') } },
      () => {
        at.push(performance.now());
        throw new Error('no');
      },
    );
    await service.start();
    await service.publish(1, { stream: name() });
    await eventually(() => expect(at).toHaveLength(2));
    // The default is between half a second and a second after the first.
    expect((at[1] as number) - (at[0] as number)).toBeGreaterThan(400);
    const logs = takeLogs().map(({ message }) => message);
    expect(logs.filter((message) => message.includes("'retry.backoff'"))).toHaveLength(1);
  });
});
