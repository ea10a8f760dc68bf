import { RedisBroker, type Repeated } from 'redstart';
import { testBroker } from 'redstart/testing';
import { describe, expect, it } from 'vitest';
import { cronSchedule, everyPeriod } from '../../src/publish/cron.ts';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

/** The instants of an expression after a date, as text without the seconds. */
function times(expression: string, zone: string, from: string, count = 4): string[] {
  const schedule = cronSchedule(expression, zone, 'every');
  const found: string[] = [];
  let at = Date.parse(from);
  for (let n = 0; n < count; n++) {
    const next = schedule.next(at) as number;
    // Both directions agree.
    const before = n === 0 ? schedule.previous(next - 1) : at;
    expect([schedule.previous(next), schedule.previous(next - 1)]).toEqual([next, before]);
    found.push(new Date(next).toISOString().slice(0, 16));
    at = next;
  }
  return found;
}

describe('a cron expression', () => {
  it.each([
    ['30 2 * * *', '2027-03-27T12:00Z', ['2027-03-28T01:00', '2027-03-29T00:30']],
    ['*/20 2 * * *', '2027-03-27T12:00Z', ['2027-03-28T01:00', '2027-03-29T00:00']],
    ['0 2,3 * * *', '2027-03-27T12:00Z', ['2027-03-28T01:00', '2027-03-29T00:00']],
  ])('%s fires once at the jump where its local time is skipped', (expression, from, expected) => {
    expect(times(expression, 'Europe/Berlin', from, 2)).toEqual(expected);
  });

  it.each([
    ['30 2 * * *', ['2027-10-31T00:30', '2027-11-01T01:30', '2027-11-02T01:30']],
    ['*/30 2 * * *', ['2027-10-31T00:00', '2027-10-31T00:30', '2027-11-01T01:00']],
    ['0 */2 * * *', ['2027-10-31T00:00', '2027-10-31T03:00', '2027-10-31T05:00']],
  ])('%s fires once where its local time comes twice', (expression, expected) => {
    expect(times(expression, 'Europe/Berlin', '2027-10-30T23:30Z', 3)).toEqual(expected);
  });

  it('with * hours fires in every hour that passes', () => {
    expect(times('0 * * * *', 'Europe/Berlin', '2027-10-30T23:30Z', 3)).toEqual([
      '2027-10-31T00:00',
      '2027-10-31T01:00',
      '2027-10-31T02:00',
    ]);
  });

  it.each([
    [
      '30 2 * * *',
      'America/New_York',
      '2027-03-13T12:00Z',
      ['2027-03-14T07:00', '2027-03-15T06:30'],
    ],
    [
      '0 0 * * *',
      'America/Sao_Paulo',
      '2018-11-03T12:00Z',
      ['2018-11-04T03:00', '2018-11-05T02:00'],
    ],
    [
      '15 2 * * *',
      'Australia/Lord_Howe',
      '2027-10-02T00:00Z',
      ['2027-10-02T15:30', '2027-10-03T15:15'],
    ],
  ])('%s is right in %s', (expression, zone, from, expected) => {
    expect(times(expression, zone, from, 2)).toEqual(expected);
  });

  it('fires on leap days alone where it says so, and on the days that a month has', () => {
    expect(times('0 12 29 2 *', 'Europe/Berlin', '2026-03-01T00:00Z', 3)).toEqual([
      '2028-02-29T11:00',
      '2032-02-29T11:00',
      '2036-02-29T11:00',
    ]);
    expect(times('0 0 31 * *', 'UTC', '2027-01-31T00:00Z', 2)).toEqual([
      '2027-03-31T00:00',
      '2027-05-31T00:00',
    ]);
  });

  it('is UTC unless a zone is given, and may have seconds', () => {
    expect(times('0 3 * * *', 'UTC', '2027-03-28T00:00Z', 1)).toEqual(['2027-03-28T03:00']);
    const schedule = cronSchedule('*/20 * * * * *', 'UTC', 'every');
    expect(schedule.next(0)).toBe(20_000);
  });
});

it('milliseconds are counted from 1970', () => {
  const schedule = everyPeriod(60_000);
  expect(schedule.next(60_001)).toBe(120_000);
  expect(schedule.next(120_000)).toBe(180_000);
  expect(schedule.previous(120_000)).toBe(120_000);
  expect(schedule.previous(119_999)).toBe(60_000);
});

onBothBackends('a message that is sent again and again', (bench) => {
  it('comes once a period to a channel, a list and a stream, whoever sends it', async () => {
    const { broker, name } = bench();
    const kinds = ['channel', 'list', 'stream'] as const;
    const got = { channel: [] as number[], list: [] as number[], stream: [] as number[] };
    let markers = 0;
    const service = broker();
    const senders = [broker(), broker(), broker()];
    const series = kinds.map((kind) => {
      const to = { [kind]: name(kind) } as { list: string };
      service.subscriber(to, (body, { message }) => {
        if (body === 'marker') {
          markers++;
          return;
        }
        expect(body).toEqual({ tick: true });
        expect(message.headers['x-a']).toBe('1');
        got[kind].push(Date.now());
      });
      const options = { ...to, id: 'tick', body: { tick: true }, headers: { 'x-a': 1 } };
      return senders.map((sender) => sender.every(150, options))[0] as Repeated;
    });
    const started = Date.now();
    await service.start();
    for (const sender of senders) await sender.connect();
    const next = await series[0]?.next();
    expect((next as Date).getTime() % 150).toBe(0);
    await eventually(() => kinds.every((kind) => got[kind].length >= 4));
    for (const one of series) {
      await one.remove();
      expect(await one.next()).toBeUndefined();
    }
    // What was on its way has come before these, and no other comes.
    for (const kind of kinds)
      await service.publish('marker', { [kind]: name(kind) } as { list: string });
    await eventually(() => expect(markers).toBe(3));
    const before = structuredClone(got);
    const periods = Math.floor(Date.now() / 150) - Math.floor(started / 150);
    for (const kind of kinds) expect(got[kind].length).toBeLessThanOrEqual(periods);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(got).toEqual(before);
  });

  it('is refused where it makes no sense, or could never be sent', () => {
    const { broker } = bench();
    const service = broker({ maxBytes: 1_000 });
    const right = { id: 'a', list: 'x', body: 1 };
    const wrong: [unknown, unknown, RegExp][] = [
      [0, right, /every: expected milliseconds, 1 or more, or a cron expression, got 0/],
      [NaN, right, /got NaN/],
      [undefined, right, /got undefined/],
      ['every day', right, /'every day' is not a cron expression of five fields/],
      ['61 * * * *', right, /'61 \* \* \* \*' is not a cron expression/],
      ['0 0 30 2 *', right, /never matches: there is no such day/],
      ['0 0 * * *', { ...right, timezone: 'Mars/Base' }, /'timezone' must be a name of the IANA/],
      [1_000, { ...right, timezone: 'UTC' }, /'timezone' is only for cron/],
      [1_000, { ...right, id: '' }, /'id' must not be empty/],
      [1_000, { list: 'x', body: 1 }, /'id' must be a string/],
      [1_000, { id: 'a', body: 1 }, /expected one of channel, list or stream, got none/],
      [1_000, { ...right, maxlen: 5 }, /'maxlen' is only for streams/],
      [1_000, { ...right, delay: 5 }, /'delay' is not an option of every/],
      [1_000, 'x', /expected options such as/],
    ];
    for (const [when, options, text] of wrong)
      expect(() => service.every(when as never, options as never)).toThrow(text);
    for (const body of ['x'.repeat(2_000), new Map(), 1n])
      expect(() => service.every(1_000, { ...right, body })).toThrow(
        /every: the message of 'a' cannot be sent: .*(maxBytes|a Map|BigInt)/,
      );
    const shortens = broker({
      maxBytes: 1_000,
      middlewares: [{ publish: (command, next) => ((command.body = 'short'), next()) }],
    });
    shortens.every(1_000, { ...right, body: 'x'.repeat(2_000) });
    service.every(1_000, right);
    expect(() => service.every(2_000, right)).toThrow(/a series 'a' for list 'x' already/);
    service.every(2_000, { ...right, id: 'b' });
  });
});

describe('in virtual time', () => {
  it('delayed messages and repeated ones come when the clock is moved', async () => {
    const broker = newBroker('redis://localhost:1');
    const got: string[] = [];
    broker.subscriber({ stream: 'mails' }, (body: string) => void got.push(body));
    await using test = await testBroker(broker);
    broker.every('0 12 * * *', {
      id: 'noon',
      stream: 'mails',
      body: 'noon',
      timezone: 'Asia/Tokyo',
    });
    await broker.publish('in an hour', { stream: 'mails', delay: 3_600_000 });
    await broker.publish('too late', { stream: 'mails', delay: 0, expires: 60_000 });
    await test.idle();
    await test.advance(3_599_000);
    expect(got.filter((body) => body !== 'noon')).toEqual(['too late']);
    await test.advance(1_000);
    expect(got).toContain('in an hour');
    const noons = got.filter((body) => body === 'noon').length;
    await test.advance(10 * 86_400_000 - 3_600_000);
    expect(got.filter((body) => body === 'noon')).toHaveLength(10);
    expect(noons).toBeLessThan(2);
  });

  it('periods in which nobody was up are made up by one message', async () => {
    const [broker, watcher] = [newBroker('redis://localhost:1'), newBroker('redis://localhost:1')];
    const got: unknown[] = [];
    watcher.subscriber({ list: 'ticks' }, (body) => void got.push(body));
    await using test = await testBroker(broker, watcher);
    broker.every(60_000, { id: 'tick', list: 'ticks', body: 1 });
    await test.advance(60_000);
    await test.idle();
    expect(got).toHaveLength(1);
    await broker.stop();
    await test.advance(600_000);
    expect(got).toHaveLength(1);
    await broker.start();
    await test.advance(1);
    await test.idle();
    expect(got).toHaveLength(2);
    await test.advance(60_000);
    expect(got).toHaveLength(3);
  });

  it('one that the target refuses is put off a minute, counted and logged, and starves nobody', async () => {
    const lines: string[] = [];
    const log = (_: object, message?: string): void => void lines.push(message ?? '');
    const logger = { debug: () => {}, info: () => {}, warn: log, error: log };
    const broker = new RedisBroker('redis://localhost:1', { logger: logger as never });
    const got: unknown[] = [];
    broker.subscriber({ list: 'good' }, (body) => void got.push(body));
    await using test = await testBroker(broker);
    await broker.publish('x', { stream: 'bad' });
    await broker.publish(1, { list: 'bad', delay: 1_000 });
    await broker.publish(2, { list: 'good', delay: 2_000 });
    await test.advance(2_000);
    await test.idle();
    expect(got).toEqual([2]);
    expect(broker.stats.refusedDelayed).toBe(1);
    expect(lines.join('\n')).toMatch(/delayed messages for list 'bad' are refused.* every 60 s/);
    await broker.deadLetters({ stream: 'bad' }).remove();
  });
});
