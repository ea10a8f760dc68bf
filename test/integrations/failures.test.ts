// Every failure and its place are on the page: each test provokes one and reads it.
import { RedisBroker, RpcError, publisher, subscriber } from 'redstart';
import { metrics } from 'redstart/metrics';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';
import { samplesOf, valueOf, parse } from './exposition.ts';

type Labels = Readonly<Record<string, string>>;

/** Waits until a series has this value. */
async function reads(
  page: () => Promise<string>,
  name: string,
  labels: Labels,
  value: number,
): Promise<void> {
  await eventually(async () => expect(valueOf(parse(await page()), name, labels)).toBe(value));
}

function fail(): never {
  throw new RangeError('no');
}

function accepts(value: unknown): boolean {
  if (value === 'filter') throw new TypeError('no');
  return value !== 'nobody';
}

onBothBackends('the page of metrics counts', (bench) => {
  it.each([
    ['decode', { 'content-type': 'application/json' }, '{', 'DECODE'],
    ['validate', {}, 7, 'INVALID_MESSAGE'],
    ['handler', {}, 'bad', 'RangeError'],
    ['filter', {}, 'filter', 'TypeError'],
    ['match', {}, 'nobody', 'NO_MATCHING_HANDLER'],
  ])('what failed in the stage %s', async (stage, headers, body, error) => {
    const { broker, name } = bench();
    const service = broker();
    const page = metrics(service);
    const isChosen = stage === 'filter' || stage === 'match';
    service.subscriber(
      {
        ...{ list: name(), title: 'work', schema: z.string() },
        ...(isChosen ? { filter: (message: { body: unknown }) => accepts(message.body) } : {}),
      },
      fail,
    );
    await service.start();
    const labels = { address: name(), handler: 'work', group: '' };
    const before = parse(await page());
    expect(valueOf(before, 'redstart_failures_total', { ...labels, stage })).toBe(0);
    expect(valueOf(before, 'redstart_handled_total', { ...labels, outcome: 'failed' })).toBe(0);
    await service.publish(body, { list: name(), headers });
    await reads(page, 'redstart_failures_total', { ...labels, stage }, 1);
    await reads(page, 'redstart_handled_total', { ...labels, outcome: 'failed' }, 1);
    await reads(page, 'redstart_errors_total', { ...labels, error }, 1);
    await reads(page, 'redstart_handler_duration_seconds_count', labels, 1);
    await reads(page, 'redstart_received_bytes_count', labels, 1);
    takeLogs();
  });

  it('handlers that took too long, retries, settlements and dead letters', async () => {
    const { broker, name } = bench();
    const service = broker();
    const page = metrics(service);
    const retry = { maxDeliveries: 2, backoff: 10 };
    const deadLetter = { stream: name('dead'), maxlen: 50 };
    service.subscriber(
      { stream: name(), group: 'g', title: 'work', retry, deadLetter, timeout: 20 },
      () => new Promise(() => undefined),
    );
    await service.start();
    await service.publish('slow', { stream: name() });
    const labels = { address: name(), handler: 'work', group: 'g' };
    await reads(page, 'redstart_buried_total', labels, 1);
    await reads(page, 'redstart_failures_total', { ...labels, stage: 'timeout' }, 2);
    await reads(page, 'redstart_errors_total', { ...labels, error: 'HANDLER_TIMEOUT' }, 2);
    await reads(page, 'redstart_retried_total', labels, 1);
    await reads(page, 'redstart_settled_total', { ...labels, how: 'nack' }, 1);
    await reads(page, 'redstart_settled_total', { ...labels, how: 'reject' }, 1);
    await reads(page, 'redstart_dead_letters', { address: name('dead') }, 1);
    await reads(page, 'redstart_dead_letters_max', { address: name('dead') }, 50);
    await reads(page, 'redstart_group_pending', { address: name(), group: 'g' }, 0);
    expect(takeLogs()).not.toEqual([]);
  });

  it('messages that wait for a retry', async () => {
    const { broker, name } = bench();
    const service = broker();
    const page = metrics(service);
    // More deliveries than this test can last: it waits for the next one all the time.
    const retry = { maxDeliveries: 100, backoff: 4_000 };
    service.subscriber(
      { stream: name(), group: 'g', title: 'work', retry, deadLetter: { list: name('dead') } },
      fail,
    );
    await service.start();
    await service.publish('x', { stream: name() });
    await reads(page, 'redstart_held', { handler: 'work' }, 1);
    expect(takeLogs()).not.toEqual([]);
  });

  it('what was forwarded and could not be, names that do not fit, calls that came too late', async () => {
    const { broker, name } = bench();
    const service = broker();
    const page = metrics(service);
    class Orders {
      @publisher({ list: 'out' })
      @subscriber({ list: name(), title: 'forward' })
      place() {
        return { toJSON: fail };
      }
    }
    service.register(new Orders());
    service.subscriber({ channel: `${name('logs')}.{level}`, title: 'logs' }, () => undefined);
    const client = broker();
    await client.connect();
    // On a busy machine its time may be over before the way for answers is open, and it is not sent: then once more.
    const late = client.deadLetters({ list: name('late') });
    do {
      await expect(
        client.publish('x', { list: name('late'), rpc: true, timeout: 500 }),
      ).rejects.toThrow('no answer');
    } while ((await late.count()) === 0);
    service.subscriber({ list: name('late'), title: 'late' }, () => undefined);
    await service.start();
    await service.publish('x', { list: name() });
    await service.publish('x', { channel: `${name('logs')}.a.b` });
    await reads(page, 'redstart_failures_total', { handler: 'forward', stage: 'forward' }, 1);
    await reads(page, 'redstart_failures_total', { handler: 'forward', stage: 'handler' }, 0);
    await reads(page, 'redstart_errors_total', { handler: 'forward', error: 'ENCODE' }, 1);
    await reads(page, 'redstart_publish_errors_total', { address: 'out', error: 'ENCODE' }, 1);
    await reads(page, 'redstart_handled_total', { handler: 'logs', outcome: 'skipped' }, 1);
    await reads(page, 'redstart_handled_total', { handler: 'late', outcome: 'expired' }, 1);
    takeLogs();
  });

  it('how calls ended: value, error, time-out, nobody, too many, given up; and late answers', async () => {
    const { broker, name } = bench();
    // Of its own: services of other tests that reconnect have calls repeated, and repeated answers are late.
    const rpc = { inboxPrefix: `${name('inbox')}:` };
    const [service, client] = [broker({ rpc }), broker({ rpc: { ...rpc, maxPending: 1 } })];
    const page = metrics(client);
    let answer: ((value: string) => void) | undefined;
    let isOver = false;
    service.subscriber(name(), (body) => {
      if (body === 'error') throw new RpcError('SOLD_OUT');
      if (body === 'late' && !isOver) return new Promise((resolve) => (answer = resolve));
      return body;
    });
    await service.start();
    const call = (body: string, more: object = {}): Promise<unknown> =>
      client
        .publish(body, { channel: name(), rpc: true, timeout: 20_000, ...more })
        .catch(() => undefined);
    expect(await call('value')).toBe('value');
    await call('error');
    // On a busy machine its time may be over before the handler begins: then once more.
    let timeouts = 0;
    for (; answer === undefined; timeouts++) await call('late', { timeout: 500 });
    answer?.('too late');
    await call('x', { channel: name('empty') });
    const aborting = new AbortController();
    const waiting = call('late', { signal: aborting.signal });
    await call('one too many');
    aborting.abort();
    await waiting;
    const at = (outcome: string): Labels => ({ address: name(), outcome });
    await reads(page, 'redstart_calls_total', at('ok'), 1);
    await reads(page, 'redstart_calls_total', at('failed'), 1);
    await reads(page, 'redstart_calls_total', at('timeout'), timeouts);
    await reads(page, 'redstart_calls_total', at('overloaded'), 1);
    await reads(page, 'redstart_calls_total', at('cancelled'), 1);
    await reads(page, 'redstart_calls_total', { address: name('empty'), outcome: 'nobody' }, 1);
    await reads(page, 'redstart_call_errors_total', { address: name(), error: 'SOLD_OUT' }, 1);
    await reads(page, 'redstart_call_duration_seconds_count', { address: name() }, 4 + timeouts);
    await reads(page, 'redstart_late_answers_total', {}, 1);
    await reads(page, 'redstart_pending_calls', {}, 0);
    isOver = true; // the handler of the call that was given up may begin only now
    answer?.('also late');
  });

  it('a handler that pauses because it always fails', async () => {
    const { broker, name } = bench();
    const service = broker();
    const page = metrics(service);
    const retry = { maxDeliveries: 9, backoff: 1 };
    const pause = { after: 2, for: 60_000 };
    service.subscriber({ ...{ list: name(), reliable: true, title: 'work' }, retry, pause }, fail);
    await service.start();
    await service.publish('x', { list: name() });
    await reads(page, 'redstart_subscriber_state', { handler: 'work', state: 'open' }, 1);
    expect(samplesOf(parse(await page()), 'redstart_subscriber_state')).toHaveLength(1);
    await reads(page, 'redstart_pauses_total', { handler: 'work' }, 1);
    takeLogs();
  });

  it('answers that reached nobody', async () => {
    const { broker, name } = bench();
    const service = broker();
    const page = metrics(service);
    service.subscriber({ list: name(), title: 'work' }, () => 'answer');
    await service.start();
    await service.publish('x', { list: name(), replyTo: name('nobody') });
    await reads(page, 'redstart_answers_total', { handler: 'work', outcome: 'nobody' }, 1);
    await reads(page, 'redstart_published_total', { address: 'reply', outcome: 'ok' }, 1);
    const page2 = await page();
    expect(page2).not.toContain(name('nobody'));
  });
});

it('messages that were dropped because too many waited', async () => {
  const service = newBroker(`memory://${unique()}`);
  const page = metrics(service);
  let end: (() => void) | undefined;
  service.subscriber(
    { channel: 'c', title: 'slow' },
    () => new Promise<void>((resolve) => (end = resolve)),
  );
  await service.start();
  for (let i = 0; i < 65_540; i++) await service.publish(i, { channel: 'c' });
  await eventually(async () =>
    expect(valueOf(parse(await page()), 'redstart_dropped_total')).toBeGreaterThan(0),
  );
  expect(valueOf(parse(await page()), 'redstart_waiting')).toBe(65_536);
  const ending = setInterval(() => end?.(), 1);
  await service.stop();
  clearInterval(ending);
  takeLogs();
});

it('deliveries that never ended: exhausted', async () => {
  const name = unique();
  const client = rawClient();
  await client.xgroup('CREATE', name, 'g', '0', 'MKSTREAM');
  const id = (await client.xadd(name, '*', 'x', '1')) as string;
  await client.xreadgroup('GROUP', 'g', 'dead', 'STREAMS', name, '>');
  await client.xclaim(name, 'g', 'dead', 0, id, 'RETRYCOUNT', 5, 'IDLE', 100_000);
  const service = newBroker(redisUrl());
  const page = metrics(service);
  service.subscriber(
    {
      ...{ stream: name, group: 'g', title: 'work', claim: { minIdle: 1_000 } },
      ...{ retry: { maxDeliveries: 2 }, deadLetter: { list: `${name}:dead` } },
    },
    () => undefined,
  );
  await service.start();
  await reads(page, 'redstart_failures_total', { handler: 'work', stage: 'exhausted' }, 1);
  await reads(page, 'redstart_buried_total', { handler: 'work' }, 1);
  expect(takeLogs()).not.toEqual([]);
});

it('answers that Redis refused, acknowledgements that it refused', async () => {
  const name = unique();
  const client = rawClient();
  await client.set(`${name}:text`, 'no list');
  const service = newBroker(redisUrl());
  const page = metrics(service);
  service.subscriber({ list: name, title: 'work' }, () => 'answer');
  service.subscriber({ stream: `${name}:s`, group: 'g', title: 'acks' }, async () => {
    await client.set(`${name}:s`, 'no stream any more');
  });
  await service.start();
  await service.publish('x', { list: name, replyTo: { list: `${name}:text` } });
  await reads(page, 'redstart_answers_total', { handler: 'work', outcome: 'failed' }, 1);
  await reads(page, 'redstart_published_total', { address: 'reply', outcome: 'failed' }, 1);
  await service.publish('x', { stream: `${name}:s` });
  await reads(page, 'redstart_unacknowledged_total', { handler: 'acks' }, 1);
  await service.stop();
  takeLogs();
});

it('connections that were lost and came back, and how far a group is behind', async () => {
  const server = await ownServer();
  const service = new RedisBroker(server.url, { logger: false });
  const page = metrics(service);
  try {
    let isOpen = false;
    service.subscriber(
      { stream: 's', group: 'g', title: 'work', maxRecords: 1, concurrency: 1 },
      () =>
        new Promise<void>((resolve) => {
          const timer = setInterval(() => {
            if (!isOpen) return;
            clearInterval(timer);
            resolve();
          }, 5);
        }),
    );
    await service.start();
    const lost = valueOf(parse(await page()), 'redstart_connection_lost_total');
    expect(lost).toBe(0);
    const client = rawClient(server.url);
    const [seconds] = await client.time();
    await client.xadd('s', `${(Number(seconds) - 100) * 1_000}-1`, 'x', '1');
    await client.xadd('s', '*', 'x', '2');
    await reads(page, 'redstart_group_pending', { address: 's', group: 'g' }, 1);
    await reads(page, 'redstart_group_lag', { address: 's', group: 'g' }, 1);
    const oldest = valueOf(parse(await page()), 'redstart_group_oldest_seconds');
    expect(oldest).toBeGreaterThanOrEqual(99);
    expect(oldest).toBeLessThan(160);
    // Redis does not know the lag of a group once entries in the middle are gone.
    const [last] = await client.xrevrange('s', '+', '-', 'COUNT', 1);
    await client.xdel('s', last?.[0] as string);
    await client.xadd('s', '*', 'x', '3');
    await eventually(async () =>
      expect(samplesOf(parse(await page()), 'redstart_group_lag')).toEqual([]),
    );
    isOpen = true;
    await reads(page, 'redstart_connection_up', {}, 1);
    await reads(page, 'redstart_ready', {}, 1);
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(async () =>
      expect(valueOf(parse(await page()), 'redstart_reconnected_total')).toBeGreaterThan(0),
    );
    expect(valueOf(parse(await page()), 'redstart_connection_lost_total')).toBeGreaterThan(0);
    await reads(page, 'redstart_group_pending', { address: 's', group: 'g' }, 0);
    await server.stop();
    await reads(page, 'redstart_connection_up', {}, 0);
    expect(samplesOf(parse(await page()), 'redstart_group_lag')).toEqual([]);
    expect(valueOf(parse(await page()), 'redstart_live')).toBe(1);
  } finally {
    await service.stop();
  }
});
