// Options of failed messages that contradict each other are refused where they are written.
import { RedisBroker, RedisRouter, SetupError, event } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

/** Policies under which nothing is delivered again. */
const NEVER_AGAIN = ['reject-on-error', 'ack', 'ack-first', 'manual'] as const;

/** Options that contradict each other, and what the error must say. */
const CONTRADICTIONS: [options: object, ...says: string[]][] = [
  [
    { retry: false, ackPolicy: 'nack-on-error' },
    "'retry: false'",
    "the ackPolicy 'nack-on-error'",
    'leave one of them out',
  ],
  ...NEVER_AGAIN.flatMap((ackPolicy): [options: object, ...says: string[]][] => [
    [{ retry: { maxDeliveries: 2 }, ackPolicy }, "'retry'", `the ackPolicy '${ackPolicy}'`],
    [{ pause: { after: 5 }, ackPolicy }, "'pause'", `the ackPolicy '${ackPolicy}'`],
  ]),
  [{ deadLetter: { channel: 'dead' } }, 'deadLetter', 'a stream or a list'],
];

const URL = 'memory://policies';

/** Every place where the options may be written. */
const PLACES: [place: string, write: (options: object) => unknown][] = [
  ['a group', (options) => take({ stream: 'a', group: 'g', ...options })],
  ['a reliable list', (options) => take({ list: 'a', reliable: true, ...options })],
  ['a subscriber, beside its address', (options) => take({ stream: 'a', group: 'g' }, options)],
  ['a router', (options) => new RedisRouter(options)],
  ['a broker', (options) => new RedisBroker(URL, options)],
  [
    'a contract',
    (options) => event({ list: 'a', reliable: true, ...options }, { schema: z.any() }),
  ],
];

function take(address: object, options: object = {}): unknown {
  return new RedisBroker(URL).subscriber(address as { list: string }, options, () => undefined);
}

function refusal(write: () => unknown): string {
  let refused: unknown;
  try {
    write();
  } catch (error) {
    refused = error;
  }
  expect(refused).toBeInstanceOf(SetupError);
  return (refused as SetupError).message;
}

const ACCEPTED: object[] = [
  { retry: { maxDeliveries: 2 }, ackPolicy: 'nack-on-error', pause: { after: 5 } },
  { retry: { maxDeliveries: 2 }, deadLetter: false },
  { retry: false, deadLetter: false },
  ...NEVER_AGAIN.map((ackPolicy) => ({ ackPolicy, retry: false, pause: false })),
  ...NEVER_AGAIN.map((ackPolicy) => ({ ackPolicy, deadLetter: { stream: 'dead' } })),
];

describe.each(PLACES)('options of failures on %s', (place, write) => {
  // Each side of a contract has its own pause.
  const fits = (options: object): boolean => place !== 'a contract' || !('pause' in options);
  const refused = CONTRADICTIONS.filter(([options]) => fits(options));
  it.each(refused.map(([options, ...says]) => [JSON.stringify(options), options, says] as const))(
    'refuses %s and says why',
    (_, options, says) => {
      const text = refusal(() => write(options));
      for (const part of says) expect(text).toContain(part);
    },
  );

  it.each(ACCEPTED.filter(fits).map((options) => [JSON.stringify(options), options] as const))(
    'accepts %s',
    (_, options) => {
      expect(() => write(options)).not.toThrow();
    },
  );
});

/** What the error says of a place where nothing is acknowledged. */
const WHY = {
  'a channel': /channel/, // it does not know the option at all
  'a plain list': /acknowledged: .*'group'.*'reliable'/,
  'a stream without a group': /acknowledged: .*'group'.*'reliable'/,
  'a group with noAck': /cannot be combined with 'noAck'.*leave one of them out/,
};

describe('where nothing is acknowledged', () => {
  const places = [
    ['a channel', { channel: 'a' }],
    ['a plain list', { list: 'a' }],
    ['a stream without a group', { stream: 'a' }],
    ['a group with noAck', { stream: 'a', group: 'g', noAck: true }],
  ] as const;
  const options = [
    { retry: { maxDeliveries: 2 } },
    { retry: false },
    { deadLetter: { stream: 'dead' } },
    { deadLetter: false },
    { pause: { after: 5 } },
    { pause: false },
  ];
  it.each(
    places.flatMap(([place, at]) =>
      options.map((more) => [place, JSON.stringify(more), at, more] as const),
    ),
  )('on %s refuses %s', (place, _, at, more) => {
    const text = refusal(() => take({ ...at, ...more }));
    expect(text).toContain(`'${Object.keys(more)[0]}'`);
    expect(text).toMatch(WHY[place]);
  });
});
