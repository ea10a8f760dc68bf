// The table of policies, row by row: docs/guide/retries.md shows the short form of it.
import { Reject, Retry, RpcError, type MessageContext } from 'redstart';
import { describe, expect } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';

/** What a handler does, or what is wrong with the message so that no handler runs. */
const HANDLERS = {
  succeeds: () => 'done',
  throws: () => {
    throw new Error('no');
  },
  'throws once': (ctx) => {
    if (ctx.message.deliveryCount === 1) throw new Error('no');
    return 'done';
  },
  'throws RpcError': () => {
    throw new RpcError('OUT_OF_STOCK');
  },
  'throws Reject': () => {
    throw new Reject('never');
  },
  'throws Retry once': (_, run) => {
    if (run === 1) throw new Retry({ after: 5 });
    return 'done';
  },
  'ctx.ack, then throws': async (ctx) => {
    await ctx.ack();
    throw new Error('no');
  },
  'ctx.nack': (ctx) => ctx.nack(),
  'ctx.nack({ after }) once': (ctx, run) => (run === 1 ? ctx.nack({ after: 5 }) : 'done'),
  'ctx.reject': (ctx) => ctx.reject(),
  'is not run: invalid': unexpected,
  'is not run: undecodable': unexpected,
  'is not run: no filter takes it': unexpected,
  'is not run: expired': unexpected,
} satisfies Record<string, (ctx: MessageContext, run: number) => unknown>;

function unexpected(): never {
  throw new Error('this handler must not run');
}

type Does = keyof typeof HANDLERS;

/** A plain message, one that names a place for its answer (FastStream's calls), or a call of redstart. */
type Sent = 'event' | 'reply_to' | 'call';

/**
 * The message, what the handler does, how each delivery was settled, the dead letter's error, what
 * the caller hears, and what is logged. After `nack` or `pending` at last the entry comes again;
 * after `ack` and `reject` it does not.
 */
type Row = [
  sent: Sent,
  does: Does,
  settled: string,
  letter: string | undefined,
  hears: string,
  ...logs: string[],
];

const FAILED = 'error: the handler failed';
const AGAIN = 'warn: the handler failed, delivery 1 of 2, next in 5 ms';
const DEAD = 'error: the handler failed; the message is in its dead letters';
const DROPPED = 'error: the handler failed; the message is dropped (no dead letters)';
const NOT_COUNTED = 'warn: the handler asks for it again, delivery 1 is not counted, next in 5 ms';
const GIVEN_UP = 'error: the handler gave the message up; the message is in its dead letters';
const GIVEN_UP_DROPPED =
  'error: the handler gave the message up; the message is dropped (no dead letters)';
const INVALID = 'error: the message does not fit the schema';
const UNDECODABLE = 'error: the message cannot be decoded';
const UNMATCHED = 'error: no handler takes the message';
const dead = (what: string): string => `${what}; the message is in its dead letters`;
const dropped = (what: string): string => `${what}; the message is dropped (no dead letters)`;

/** What is the same for every policy that acknowledges what succeeds and heeds the handler's word. */
const ALWAYS: Row[] = [
  ['event', 'succeeds', 'ack', undefined, 'nothing'],
  ['reply_to', 'succeeds', 'ack', undefined, 'done'],
  ['call', 'succeeds', 'ack', undefined, 'done'],
  ['event', 'ctx.ack, then throws', 'ack', undefined, 'nothing', FAILED],
  ['call', 'ctx.ack, then throws', 'ack', undefined, 'REMOTE', FAILED],
  ['event', 'ctx.nack({ after }) once', 'nack ack', undefined, 'nothing'],
  ['call', 'ctx.nack({ after }) once', 'nack ack', undefined, 'done'],
  ['call', 'is not run: expired', 'ack', undefined, 'RPC_TIMEOUT'],
];

/** What never helps to try again, where there are dead letters. */
const FINAL: Row[] = [
  ['event', 'throws RpcError', 'reject', 'OUT_OF_STOCK', 'nothing', DEAD],
  ['reply_to', 'throws RpcError', 'reject', 'OUT_OF_STOCK', 'nothing', DEAD],
  ['event', 'throws Reject', 'reject', 'Reject: never', 'nothing', DEAD],
  ['reply_to', 'throws Reject', 'reject', 'Reject: never', 'nothing', DEAD],
  ['event', 'is not run: invalid', 'reject', 'InvalidMessageError', 'nothing', dead(INVALID)],
  ['reply_to', 'is not run: invalid', 'reject', 'InvalidMessageError', 'nothing', dead(INVALID)],
  ['event', 'is not run: undecodable', 'reject', 'DecodeError', 'nothing', dead(UNDECODABLE)],
  [
    'event',
    'is not run: no filter takes it',
    'reject',
    'NoMatchingHandlerError',
    'nothing',
    dead(UNMATCHED),
  ],
  ['event', 'ctx.reject', 'reject', 'RejectedError', 'nothing', GIVEN_UP],
  ['call', 'ctx.reject', 'reject', 'RejectedError', 'NO_REPLY', GIVEN_UP],
];

/** Calls where they are not retried: answered and acknowledged. */
const CALLS: Row[] = [
  ['call', 'throws', 'ack', undefined, 'REMOTE', FAILED],
  ['call', 'throws RpcError', 'ack', undefined, 'OUT_OF_STOCK'],
  ['call', 'throws Reject', 'ack', undefined, 'REJECT', FAILED],
  ['call', 'is not run: invalid', 'ack', undefined, 'INVALID_MESSAGE', INVALID],
  ['call', 'is not run: undecodable', 'ack', undefined, 'DECODE', UNDECODABLE],
  ['call', 'is not run: no filter takes it', 'ack', undefined, 'NO_MATCHING_HANDLER', UNMATCHED],
];

/** Nothing is retried and nothing is kept. */
const GONE: Row[] = [
  ['event', 'throws', 'reject', undefined, 'nothing', DROPPED],
  ['reply_to', 'throws', 'reject', undefined, 'nothing', DROPPED],
  ['event', 'throws RpcError', 'reject', undefined, 'nothing', DROPPED],
  ['event', 'throws Reject', 'reject', undefined, 'nothing', DROPPED],
  ['event', 'is not run: invalid', 'reject', undefined, 'nothing', dropped(INVALID)],
  ['event', 'is not run: undecodable', 'reject', undefined, 'nothing', dropped(UNDECODABLE)],
  ['event', 'is not run: no filter takes it', 'reject', undefined, 'nothing', dropped(UNMATCHED)],
  ['event', 'throws Retry once', 'nack ack', undefined, 'nothing', NOT_COUNTED],
  ['event', 'ctx.reject', 'reject', undefined, 'nothing', GIVEN_UP_DROPPED],
  ['call', 'ctx.reject', 'reject', undefined, 'NO_REPLY', GIVEN_UP_DROPPED],
];

/** A dead letter at once. */
const AT_ONCE: Row[] = [
  ['event', 'throws', 'reject', 'Error: no', 'nothing', DEAD],
  ['reply_to', 'throws', 'reject', 'Error: no', 'nothing', DEAD],
  ['event', 'throws Retry once', 'nack ack', undefined, 'nothing', NOT_COUNTED],
  ['call', 'throws Retry once', 'nack ack', undefined, 'done', NOT_COUNTED],
];

/** Acknowledged whatever happens. */
const LOGGED: Row[] = [
  ...CALLS,
  ['event', 'succeeds', 'ack', undefined, 'nothing'],
  ['call', 'succeeds', 'ack', undefined, 'done'],
  ['event', 'throws', 'ack', undefined, 'nothing', FAILED],
  ['reply_to', 'throws', 'ack', undefined, 'nothing', FAILED],
  ['event', 'throws RpcError', 'ack', undefined, 'nothing', FAILED],
  ['event', 'throws Reject', 'ack', undefined, 'nothing', FAILED],
  ['event', 'throws Retry once', 'ack', undefined, 'nothing', FAILED],
  ['event', 'is not run: invalid', 'ack', undefined, 'nothing', INVALID],
  ['event', 'is not run: undecodable', 'ack', undefined, 'nothing', UNDECODABLE],
  ['event', 'is not run: no filter takes it', 'ack', undefined, 'nothing', UNMATCHED],
  ['call', 'is not run: expired', 'ack', undefined, 'RPC_TIMEOUT'],
];

const QUICK = { retry: { maxDeliveries: 2, backoff: 5 } };

const FIRST_OF_TEN = 'warn: the handler failed, delivery 1 of 10, next in ';

const POLICIES: [policy: string, options: object, rows: Row[]][] = [
  [
    'no options',
    {},
    [
      ...ALWAYS,
      ...FINAL,
      ...CALLS,
      ['event', 'throws', 'nack', undefined, 'nothing', FIRST_OF_TEN],
      ['reply_to', 'throws once', 'nack ack', undefined, 'done', FIRST_OF_TEN],
      ['event', 'throws Retry once', 'nack ack', undefined, 'nothing', NOT_COUNTED],
      ['call', 'throws Retry once', 'nack ack', undefined, 'done', NOT_COUNTED],
    ],
  ],
  [
    'nack-on-error with `retry`',
    { ackPolicy: 'nack-on-error', ...QUICK },
    [
      ...ALWAYS,
      ...FINAL,
      ['event', 'throws', 'nack reject', 'Error: no', 'nothing', AGAIN, DEAD],
      ['event', 'throws once', 'nack ack', undefined, 'nothing', AGAIN],
      ['reply_to', 'throws', 'nack reject', 'Error: no', 'nothing', AGAIN, DEAD],
      ['reply_to', 'throws once', 'nack ack', undefined, 'done', AGAIN],
      ['call', 'throws', 'nack reject', 'Error: no', 'REMOTE', AGAIN, DEAD],
      ['call', 'throws once', 'nack ack', undefined, 'done', AGAIN],
      ['call', 'throws RpcError', 'ack', undefined, 'OUT_OF_STOCK'],
      ['call', 'throws Reject', 'reject', 'Reject: never', 'REJECT', DEAD],
      [
        'call',
        'is not run: invalid',
        'reject',
        'InvalidMessageError',
        'INVALID_MESSAGE',
        dead(INVALID),
      ],
      ['event', 'throws Retry once', 'nack ack', undefined, 'nothing', NOT_COUNTED],
      ['event', 'ctx.nack', 'nack reject', 'ExhaustedError', 'nothing', GIVEN_UP],
    ],
  ],
  [
    '`retry` with `deadLetter: false`',
    { ...QUICK, deadLetter: false },
    [
      ...GONE.slice(2, 5),
      ['event', 'throws', 'nack reject', undefined, 'nothing', AGAIN, DROPPED],
      ['call', 'throws', 'nack reject', undefined, 'REMOTE', AGAIN, DROPPED],
      ['event', 'ctx.nack', 'nack reject', undefined, 'nothing', GIVEN_UP_DROPPED],
    ],
  ],
  [
    'reject-on-error',
    { ackPolicy: 'reject-on-error' },
    [...ALWAYS, ...FINAL, ...CALLS, ...AT_ONCE],
  ],
  ['`retry: false`', { retry: false }, [...AT_ONCE, ...CALLS.slice(0, 3)]],
  ['reject-on-error with `retry: false`', { ackPolicy: 'reject-on-error', retry: false }, AT_ONCE],
  [
    'reject-on-error with `deadLetter: false`',
    { ackPolicy: 'reject-on-error', deadLetter: false },
    [...GONE, ...CALLS.slice(0, 3)],
  ],
  [
    '`retry: false` with `deadLetter: false`',
    { retry: false, deadLetter: false },
    GONE.slice(0, 4),
  ],
  [
    'ack',
    { ackPolicy: 'ack' },
    [
      ...LOGGED,
      ['event', 'ctx.ack, then throws', 'ack', undefined, 'nothing', FAILED],
      ['event', 'ctx.nack({ after }) once', 'nack ack', undefined, 'nothing'],
      ['event', 'ctx.reject', 'reject', undefined, 'nothing', GIVEN_UP_DROPPED],
    ],
  ],
  [
    'ack-first',
    { ackPolicy: 'ack-first' },
    [
      ...LOGGED.filter(([sent]) => sent === 'event'),
      ['event', 'ctx.ack, then throws', 'ack', undefined, 'nothing', FAILED],
      ['event', 'ctx.nack({ after }) once', 'ack', undefined, 'nothing'],
      ['event', 'ctx.reject', '', undefined, 'nothing'],
      ['call', 'ctx.reject', '', undefined, 'NO_REPLY'],
    ],
  ],
  [
    'manual',
    { ackPolicy: 'manual' },
    [
      ['event', 'succeeds', 'pending', undefined, 'nothing'],
      ['call', 'succeeds', 'pending', undefined, 'done'],
      ['event', 'throws', 'pending', undefined, 'nothing', FAILED],
      ['reply_to', 'throws', 'pending', undefined, 'nothing', FAILED],
      ['call', 'throws', 'pending', undefined, 'REMOTE', FAILED],
      ['event', 'throws RpcError', 'pending', undefined, 'nothing', FAILED],
      ['call', 'throws RpcError', 'pending', undefined, 'OUT_OF_STOCK'],
      ['event', 'throws Reject', 'pending', undefined, 'nothing', FAILED],
      ['event', 'throws Retry once', 'pending', undefined, 'nothing', FAILED],
      ['event', 'is not run: invalid', 'pending', undefined, 'nothing', INVALID],
      ['call', 'is not run: invalid', 'pending', undefined, 'INVALID_MESSAGE', INVALID],
      ['event', 'is not run: no filter takes it', 'pending', undefined, 'nothing', UNMATCHED],
      ['call', 'is not run: expired', 'ack', undefined, 'RPC_TIMEOUT'],
      ['event', 'ctx.ack, then throws', 'ack', undefined, 'nothing', FAILED],
      ['event', 'ctx.nack({ after }) once', 'nack pending', undefined, 'nothing'],
      ['event', 'ctx.reject', 'reject', undefined, 'nothing'],
      ['call', 'ctx.reject', 'reject', undefined, 'NO_REPLY'],
    ],
  ],
];

/** Only groups have it: Redis keeps nothing pending. */
const NO_ACK: Row[] = [
  ['event', 'succeeds', 'ack', undefined, 'nothing'],
  ['call', 'succeeds', 'ack', undefined, 'done'],
  ['event', 'throws', 'reject', undefined, 'nothing', DROPPED],
  ['call', 'throws', 'ack', undefined, 'REMOTE', FAILED],
  ['event', 'throws RpcError', 'reject', undefined, 'nothing', DROPPED],
  ['event', 'throws Reject', 'reject', undefined, 'nothing', DROPPED],
  ['event', 'ctx.reject', 'reject', undefined, 'nothing', GIVEN_UP_DROPPED],
];

const BODIES: Partial<Record<Does, unknown>> = {
  'is not run: invalid': 7,
  'is not run: no filter takes it': 'skip',
};

const STRUCTURES = ['group', 'reliable list'] as const;

onBothBackends('the table of policies', (bench) => {
  describe.each(STRUCTURES)('on a %s', (structure) => {
    const policies: typeof POLICIES =
      structure === 'group' ? [...POLICIES, ['noAck', { noAck: true }, NO_ACK]] : POLICIES;
    const table = policies.flatMap(([policy, options, rows]) =>
      rows.map((row): [string, Sent, Does, object, Row] => [policy, row[0], row[1], options, row]),
    );
    it.concurrent.for(table)('%s, %s: the handler %s', async ([, , , options, row], { own }) => {
      const [sent, does, settled, letter, hears, ...logs] = row;
      const { url, name } = bench();
      const work = name('work');
      const to = (structure === 'group' ? { stream: work } : { list: work }) as { list: string };
      const group = { stream: work, group: 'g', consumer: 'c' };
      const address = (structure === 'group' ? group : { list: work, reliable: true }) as {
        list: string;
        reliable: true;
      };

      const client = own.broker(url);
      const answers: string[] = [];
      if (sent === 'reply_to')
        client.subscriber(name('answers'), (body) => answers.push(body as string));
      if (does === 'is not run: expired') client.subscriber(name('echo'), (body) => body);
      await client.start();

      const settles: string[] = [];
      let handled = 0;
      const worker = own.broker(url, {
        observers: [{ settled: ({ how }) => settles.push(how), handled: () => handled++ }],
      });
      let run = 0;
      const isFiltered = does === 'is not run: no filter takes it';
      worker.subscriber(
        address,
        {
          ...options,
          schema: z.string(),
          ...(isFiltered && { filter: ({ body }: { body: unknown }) => body !== 'skip' }),
        },
        (_, ctx) => (HANDLERS[does] as (ctx: MessageContext, run: number) => unknown)(ctx, ++run),
      );

      const body = BODIES[does] ?? 'work';
      const isBroken = does === 'is not run: undecodable';
      const headers: Record<string, string> = isBroken
        ? { 'content-type': 'application/json' }
        : {};
      const isLate = does === 'is not run: expired';
      if (!isLate) await worker.start();
      const message = isBroken ? Buffer.from('{') : body;
      let heard = 'nothing';
      // A call whose time is over before it could be sent is never sent: the way for answers is open first.
      if (isLate) await client.publish('', { channel: name('echo'), rpc: true });
      if (sent === 'call') {
        const call = { ...to, rpc: true, headers, timeout: isLate ? 200 : 10_000 } as const;
        heard = await client.publish(message, call).then(String, codeOf);
      } else {
        const replyTo = sent === 'reply_to' ? { replyTo: name('answers') } : {};
        await client.publish(message, { ...to, headers, ...replyTo });
      }
      if (isLate) await worker.start();
      const deliveries = settled.split(' ').length;
      await eventually(() => expect(handled).toBe(deliveries));
      await worker.stop();
      if (sent === 'reply_to') {
        // What the worker sent to this channel came before.
        await client.publish('end', name('answers'));
        await eventually(() => answers.includes('end'));
        heard = answers.length === 1 ? 'nothing' : (answers[0] as string);
      }

      expect(heard).toBe(hears);
      expect(settles.join(' ')).toBe(settled);
      const written = own.takeLogs().map(({ level, message }) => {
        expect(message).toContain(work);
        return `${level}: ${message.slice(message.indexOf('): ') + 3)}`;
      });
      expect(written).toEqual(logs.map((text) => expect.stringContaining(text)));
      const letters = await client.deadLetters({ stream: `${work}:dead` }).list();
      expect(letters.map(({ error }) => error)).toEqual(
        [letter ?? []].flat().map((text) => expect.stringContaining(text)),
      );

      // Whether the entry is still there: the next reader gets it.
      const next = own.broker(url);
      const left: unknown[] = [];
      next.subscriber(address, { ackPolicy: 'ack' }, (one) => void left.push(one));
      await next.start();
      await client.publish('end', to);
      const comesAgain = /(nack|pending)$/.test(settled);
      await eventually(() => {
        expect(left).toEqual(expect.arrayContaining(comesAgain ? [body, 'end'] : ['end']));
      });
      expect(left.filter((one) => one !== 'end')).toEqual(comesAgain ? [body] : []);
    });
  });
});

/** What is done with a message that was taken by hand, and what becomes of it. One that is left alone stays pending. */
const BY_HAND = [
  ['ack', {}, 'valid', undefined, false],
  ['nack', {}, 'valid', undefined, true],
  [
    'nack',
    { retry: { maxDeliveries: 1 }, deadLetter: { stream: 'dead' } },
    'valid',
    'Exhausted',
    false,
  ],
  ['reject', {}, 'valid', undefined, false],
  ['reject', { deadLetter: { stream: 'dead' } }, 'valid', 'RejectedError', false],
  ['not given', {}, 'invalid', undefined, false],
  ['not given', { deadLetter: { stream: 'dead' } }, 'invalid', 'InvalidMessageError', false],
] as const;

onBothBackends('the table of policies, taken by hand', (bench) => {
  describe.each(STRUCTURES)('from a %s', (structure) => {
    it.concurrent.for(BY_HAND)('%s, with %j, of a message that is %s', async (row, { own }) => {
      const [does, options, what, letter, comesAgain] = row;
      const { url, name } = bench();
      const prefix = name('by-hand:');
      const place =
        structure === 'group' ? { stream: 'work', group: 'g' } : { list: 'work', reliable: true };
      const address = { ...place, ...options, schema: z.string() } as unknown as { list: string };
      const to = (structure === 'group' ? { stream: 'work' } : { list: 'work' }) as {
        list: string;
      };
      const broker = own.broker(url, { prefix });
      const consumer = await broker.subscribe(address);
      const first = consumer.next({ timeout: 10_000 });
      await broker.publish(what === 'valid' ? 'work' : 7, to);
      if (what === 'invalid') await broker.publish('end', to);
      const taken = await first;
      expect(taken?.body).toBe(what === 'valid' ? 'work' : 'end');
      if (does === 'ack' || does === 'nack' || does === 'reject') await taken?.[does]();
      const letters = await eventually(async () => {
        const found = await broker.deadLetters({ stream: 'dead' }).list();
        expect(found).toHaveLength(letter === undefined ? 0 : 1);
        return found;
      });
      expect(letters[0]?.error ?? '').toContain(letter ?? '');
      await consumer.close();
      own.takeLogs();

      const left: unknown[] = [];
      const next = own.broker(url, { prefix });
      next.subscriber(
        place as { list: string },
        { ackPolicy: 'ack' },
        (body) => void left.push(body),
      );
      await next.start();
      await next.publish('last', to);
      await eventually(() => expect(left).toContain('last'));
      await eventually(() => expect(left.includes('work')).toBe(comesAgain));
    });
  });
});

function codeOf(error: unknown): string {
  const { remoteCode, code } = error as { remoteCode?: string; code: string };
  return remoteCode ?? code;
}
