// Pairs of options that contradict each other, in every place where they can be written. types.test.ts has three
// compilers refuse each, with the text in the first line; test/errors/pairs.test.ts runs each, for a SetupError.

/** One statement, and what the compiler says about it. */
export interface Refused {
  readonly code: string;
  readonly text: string;
  /** Only the compiler refuses it here: at run time it is refused when the handler is started, or registered. */
  readonly isLater?: boolean;
  /** Only at run time: options of a wider type, in a variable, must fit here, and the compiler does not see which were written. */
  readonly isUntyped?: boolean;
}

/** What the statements use. */
export const PREAMBLE = `import { RedisBroker, RedisRouter, event, rpc, subscriber } from 'redstart';
import { z } from 'zod';
const broker = new RedisBroker('memory://pairs');
const schema = z.any();
const asked = { request: schema, reply: schema };
const handle = (_body: any): any => 1;
`;

const LIST = "list: 'a', reliable: true";
const GROUP = "stream: 'a', group: 'g'";
const RETRY = 'retry: { maxDeliveries: 3 }';
const PAUSE = 'pause: { after: 5 }';
const AGAIN = "needs the ackPolicy 'nack-on-error', which delivers again";
const NOT_AGAIN = ['ack', 'ack-first', 'manual', 'reject-on-error'].map(
  (one) => `ackPolicy: '${one}'`,
);

type Pair = readonly [place: string, one: string, other: string, text: string];

/** Of handlers. */
const PAIRS: readonly Pair[] = [
  [LIST, 'ordered: true', 'batch: true', "'ordered' hands over one message"],
  ...NOT_AGAIN.flatMap((policy): Pair[] => [
    [LIST, RETRY, policy, `'retry' ${AGAIN}`],
    [GROUP, PAUSE, policy, `'pause' ${AGAIN}`],
  ]),
  [GROUP, 'retry: false', "ackPolicy: 'nack-on-error'", "'retry: false' contradicts"],
  [LIST, PAUSE, 'retry: false', "'pause' cannot be combined with 'retry: false'"],
  [LIST, 'once: 5', "ackPolicy: 'ack-first'", "'once' remembers what was handled"],
  ...[RETRY, PAUSE, 'deadLetter: false', 'claim: { minIdle: 500 }', 'once: 5'].map((one): Pair => [
    GROUP,
    one,
    'noAck: true',
    `'${/\w+/.exec(one)?.[0]}' cannot be combined with 'noAck'`,
  ]),
];

/** A pair in the address, beside it, on both sides of the comma; in a contract and beside it. */
function everywhere([place, one, other, text]: Pair): Refused[] {
  const made = (options: string): string => `event({ ${place}${options} }, { schema })`;
  const called = (options: string): string => `rpc({ ${place}${options} }, asked)`;
  const codes = [
    `broker.subscriber({ ${place}, ${one}, ${other} }, handle);`,
    `broker.subscriber({ ${place}, ${other}, ${one} }, { title: 'a' }, handle);`,
    `subscriber({ ${place}, ${one}, ${other} });`,
    `broker.subscriber({ ${place} }, { ${one}, ${other} }, handle);`,
    `subscriber({ ${place} }, { ${other}, ${one} });`,
    `broker.subscriber({ ${place}, ${one} }, { ${other} }, handle);`,
    `subscriber({ ${place}, ${other} }, { ${one} });`,
    `broker.subscriber(${made('')}, { ${one}, ${other} }, handle);`,
    `broker.subscriber(${made(`, ${other}`)}, { ${one} }, handle);`,
  ];
  // Each side has a pause of its own.
  if (one !== PAUSE)
    codes.push(
      `${made(`, ${one}, ${other}`)};`,
      `${called(`, ${one}, ${other}`)};`,
      `broker.subscriber(${called(`, ${one}`)}, { ${other} }, handle);`,
    );
  return codes.map((code) => ({ code, text }));
}

const FILTER = "'filter' chooses for one message";
const MAX_WAIT = "'maxWait' needs 'batch: true'";
const RELIABLE = "'retry' needs a stream with 'group', or a list with 'reliable: true'";
const ONE_NAME = 'has one exact name';
const MANY = "a contract with 'many' answers each message with a stream";
const TIMES = "'delay' and 'at' both say when";
const NO_ID = "'idWindow' needs 'id'";
const CHANNEL = "'id' needs a list or a stream";

const sent = `event({ list: 'a' }, { schema })`;
const later = (text: string, ...codes: readonly string[]): Refused[] =>
  codes.map((code) => ({ code, text, isLater: true }));
const untyped = (...codes: readonly string[]): Refused[] =>
  codes.map((code) => ({ code, text: '', isUntyped: true }));
const now = (text: string, ...codes: readonly string[]): Refused[] =>
  codes.map((code) => ({ code, text }));

/** Of everything that takes options for its handlers. */
const DEFAULTS = [
  ...NOT_AGAIN.flatMap((policy) => [RETRY, PAUSE].map((one) => [one, policy])),
].flatMap(([one = '', policy = '']) =>
  untyped(
    `new RedisBroker('memory://', { ${one}, ${policy} });`,
    `new RedisRouter({ ${policy}, ${one} });`,
    `broker.include(new RedisRouter(), { ${one}, ${policy} });`,
  ),
);

export const REFUSED: readonly Refused[] = [
  ...PAIRS.flatMap(everywhere),
  ...DEFAULTS,
  ...untyped(
    "new RedisBroker('memory://', { retry: false, ackPolicy: 'nack-on-error' });",
    "new RedisRouter({ ackPolicy: 'nack-on-error', retry: false });",
  ),
  ...untyped(`new RedisRouter({ retry: false, ${PAUSE} });`),
  ...now(
    FILTER,
    "broker.subscriber({ list: 'a', batch: true, filter: () => true }, handle);",
    "broker.subscriber({ list: 'a', batch: true }, { filter: () => true }, handle);",
    "broker.subscriber({ list: 'a' }, { filter: () => true, batch: true }, handle);",
    "broker.subscriber(event({ list: 'a', batch: true }, { schema }), { filter: () => true }, handle);",
  ),
  ...now(
    MAX_WAIT,
    "broker.subscriber({ list: 'a', maxWait: 5 }, handle);",
    "broker.subscriber({ stream: 'a' }, { maxWait: 5 }, handle);",
    "broker.subscriber({ list: 'a', batch: true }, { batch: false, maxWait: 5 }, handle);",
    "event({ list: 'a', maxWait: 5 }, { schema });",
    `broker.subscriber(${sent}, { maxWait: 5 }, handle);`,
  ),
  ...now(
    RELIABLE,
    `broker.subscriber({ list: 'a', reliable: false, ${RETRY} }, handle);`,
    `broker.subscriber({ list: 'a' }, { reliable: false, ${RETRY} }, handle);`,
    `broker.subscriber({ list: 'a', reliable: true, ${RETRY} }, { reliable: false }, handle);`,
  ),
  ...later(
    ONE_NAME,
    "broker.subscriber({ channel: 'a', sharded: true, pattern: true }, handle);",
    "broker.subscriber('a', { sharded: true, pattern: true }, handle);",
    "broker.subscriber('a.{b}', { sharded: true }, handle);",
    "event({ channel: 'a.{b}', sharded: true }, { schema });",
  ),
  ...later(
    MANY,
    "rpc({ list: 'a', batch: true }, { request: schema, reply: schema, many: true });",
  ),
  ...now(
    'is an address, and one was given before the options',
    "broker.subscriber({ list: 'a' }, { list: 'b' }, handle);",
    "broker.subscriber('a', { stream: 'b' }, handle);",
  ),
  ...now("'list' is set by the contract", `broker.subscriber(${sent}, { list: 'b' }, handle);`),
  ...untyped(
    "broker.publisher({ list: 'a' }, { pattern: false });",
    `broker.publisher(${sent}, { pattern: false });`,
  ),
  ...now(
    TIMES,
    "broker.publish(1, { list: 'a', delay: 5, at: 5 });",
    "broker.publishBatch([1], { list: 'a', delay: 5, at: 5 });",
  ),
  ...untyped(
    `broker.publish(1, ${sent}, { delay: 5, at: 5 });`,
    `broker.publishBatch([1], ${sent}, { delay: 5, at: 5 });`,
    `broker.clientFor({ sent: ${sent} }).sent(1, { delay: 5, at: 5 });`,
    "broker.publisher({ list: 'a' }).publish(1, { delay: 5, at: 5 });",
    "broker.publisher({ list: 'a' }).publishBatch([1], { delay: 5, at: 5 });",
    `broker.publisher(${sent}).publish(1, { delay: 5, at: 5 });`,
    `broker.publishBatch([1], ${sent}, { idWindow: 5 });`,
    "broker.publisher({ list: 'a' }).publishBatch([1], { idWindow: 5 });",
  ),
  ...later(TIMES, "broker.pipeline().publish(1, { list: 'a', delay: 5, at: 5 });"),
  ...now(
    NO_ID,
    "broker.publish(1, { list: 'a', idWindow: 5 });",
    `broker.publish(1, ${sent}, { idWindow: 5 });`,
    `broker.clientFor({ sent: ${sent} }).sent(1, { idWindow: 5 });`,
    "broker.publisher({ list: 'a' }).publish(1, { idWindow: 5 });",
  ),
  ...now(
    CHANNEL,
    "broker.publish(1, { channel: 'a', id: 'b' });",
    "broker.publisher('a').publish(1, { id: 'b' });",
    "broker.publisher('a').request(1, { id: 'b' });",
    "broker.publisher({ channel: 'a' }).publishBatch([1], { id: () => 'b' });",
    "broker.publisher(rpc('a', asked)).publish(1, { id: 'b' });",
    "broker.publisher(event('a', { schema })).publish(1, { id: 'b' });",
    "broker.clientFor({ asked: rpc('a', asked) }).asked(1, { id: 'b' });",
  ),
  ...now(
    "'id' is sent as the header 'message_id'",
    "broker.publish(1, { list: 'a', id: 'b', headers: { message_id: 'c' } });",
  ),
  ...now(
    "'timezone' is for cron",
    "broker.every(5, { id: 'b', list: 'a', body: 1, timezone: 'UTC' });",
  ),
  ...now(
    "'maxlen' is an option of streams",
    "broker.every(5, { id: 'b', list: 'a', body: 1, maxlen: 5 });",
  ),
  ...now(
    'give one of channel, list and stream',
    "broker.every(5, { id: 'b', list: 'a', stream: 'c', body: 1 });",
  ),
];

/** The program that no compiler accepts: each statement under the text. */
export const PROGRAM = `${PREAMBLE}${REFUSED.filter(({ isUntyped }) => isUntyped !== true)
  .map(({ code, text }) => `  // ${text}\n  ${code}\n`)
  .join('')}`;
