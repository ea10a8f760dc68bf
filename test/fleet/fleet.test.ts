// The processes of one prefix, asked over the control channel: their state, pause and resume.
import { SetupError, type BrokerOptions, type Logger, type MessageFormat } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker, onBothBackends, type Bench } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

/** It is over when all have answered. Those of a busy machine may need longer than the second of the default. */
const PATIENT = { timeout: 20_000 };

/** Brokers with one prefix, of which each stands for a process. */
function fleetOn(bench: Bench) {
  const prefix = `${bench.name('fleet')}:`;
  return {
    prefix,
    broker: (options: BrokerOptions = {}) => bench.broker({ prefix, ...options }),
  };
}

onBothBackends('broker.fleet', (bench) => {
  it('tells of this process, and of those whose broker has control: true', async () => {
    const { broker, prefix } = fleetOn(bench());
    const worker = broker({ control: true });
    worker.subscriber({ stream: 'orders', group: 'ship' }, function ship() {});
    const silent = broker();
    silent.subscriber('prices', () => 1);
    const own = broker();
    await Promise.all([worker.start(), silent.start(), own.connect()]);

    const [first, second, ...more] = await eventually(async () => {
      const all = await own.fleet.status();
      expect(all).toHaveLength(2);
      return all;
    });
    expect(more).toEqual([]);
    expect(first).toMatchObject({ pid: process.pid, subscribers: [], total: 0 });
    expect(second).toMatchObject({
      pid: process.pid,
      total: 1,
      health: { live: true, ready: true, status: 'green' },
      subscribers: [
        {
          kind: 'stream',
          name: `${prefix}orders`,
          group: 'ship',
          title: 'ship',
          state: 'running',
          concurrency: 1,
          buriesIn: { kind: 'stream', name: `${prefix}orders:dead` },
          failures: { count: 0, errors: [] },
        },
      ],
    });
    expect(second?.id).not.toBe(first?.id);
  });

  it('counts failures from the first look on, by error', async () => {
    const { broker } = fleetOn(bench());
    const worker = broker({ control: true });
    worker.subscriber('work', (n: number) => {
      throw new RangeError(`no ${n} in '${n}'`);
    });
    await worker.start();
    const fails = async (n: number): Promise<void> => {
      await expect(worker.publish(n, { channel: 'work', rpc: true })).rejects.toThrow('no');
    };
    await fails(1);
    const [before] = await worker.fleet.status();
    expect(before?.subscribers[0]?.failures).toEqual({ count: 0, errors: [] });
    await fails(2);
    await fails(3);
    await eventually(async () => {
      const [after] = await worker.fleet.status();
      expect(after?.subscribers[0]?.failures).toEqual({
        count: 2,
        errors: [{ error: 'RangeError: no # in ‹…›', count: 2 }],
      });
    });
    expect(takeLogs()).toHaveLength(3);
  });

  it('pauses and resumes the subscribers of a place in all processes, and logs who did', async () => {
    const { broker } = fleetOn(bench());
    const lines: string[] = [];
    const note = (_: unknown, line = ''): void => void lines.push(line);
    const logger: Logger = { debug() {}, info: note, warn: note, error: note };
    const workers = [broker({ control: true, logger }), broker({ control: true, logger })];
    const seen: number[] = [];
    for (const worker of workers) {
      worker.subscriber({ list: 'jobs' }, (n: number) => void seen.push(n));
      worker.subscriber({ list: 'others' }, () => {});
      await worker.start();
    }
    const own = broker();
    await eventually(async () => expect(await own.fleet.status()).toHaveLength(3));

    const paused = await own.fleet.pause({ list: 'jobs', by: 'ann' });
    expect(paused).toEqual({ processes: 2, subscribers: 2, problems: [] });
    expect(await statesOf(own)).toEqual(['paused', 'paused', 'running', 'running']);
    await own.publish(1, { list: 'jobs' });
    const [, one] = await own.fleet.status(PATIENT);
    const resumed = await own.fleet.resume({ list: 'jobs', process: one?.id ?? '' });
    expect(resumed).toEqual({ processes: 1, subscribers: 1, problems: [] });
    await eventually(() => expect(seen).toEqual([1]));
    await own.fleet.resume({ list: 'jobs' });
    expect(await statesOf(own)).toEqual(['running', 'running', 'running', 'running']);
    expect(
      lines.filter((line) => /list '.*jobs' \(handler\) is paused by ann/.test(line)),
    ).toHaveLength(2);
    expect(lines.filter((line) => line.includes('is resumed'))).toHaveLength(3);
    expect(lines).toHaveLength(5);
  });

  it("a process with control: 'status' tells of itself and cannot be paused", async () => {
    const { broker } = fleetOn(bench());
    const worker = broker({ control: 'status' });
    worker.subscriber('prices', () => 1);
    await worker.start();
    const own = broker();
    await eventually(async () => expect(await own.fleet.status()).toHaveLength(2));
    const { problems, ...done } = await own.fleet.pause({ channel: 'prices' });
    expect(done).toEqual({ processes: 0, subscribers: 0 });
    expect(problems).toEqual([expect.stringContaining("has control: 'status'")]);
    expect(await statesOf(own)).toEqual(['running']);
  });

  it('two prefixes do not hear of each other', async () => {
    const { broker, name } = bench();
    const one = broker({ control: true, prefix: `${name('a')}:` });
    const two = broker({ control: true, prefix: `${name('b')}:` });
    for (const broker of [one, two]) broker.subscriber('prices', () => 1);
    await Promise.all([one.start(), two.start()]);
    expect(await one.fleet.status({ timeout: 300 })).toHaveLength(1);
    expect(await one.fleet.pause({ channel: 'prices' }, { timeout: 300 })).toMatchObject({
      processes: 1,
    });
    expect(await statesOf(two)).toEqual(['running']);
  });

  it('answers again after stop and start', async () => {
    const { broker } = fleetOn(bench());
    const [worker, own] = [broker({ control: true }), broker()];
    for (let time = 0; time < 2; time++) {
      await worker.start();
      await eventually(async () => expect(await own.fleet.status()).toHaveLength(2));
      await worker.stop();
      expect(await own.fleet.status({ timeout: 100 })).toHaveLength(1);
    }
  });

  it('what is no question costs a log line, not the process', async () => {
    const here = bench();
    const { broker, prefix } = fleetOn(here);
    const worker = broker({ control: true });
    worker.subscriber('prices', () => 1);
    await worker.start();
    const own = broker();
    await eventually(async () => expect(await own.fleet.status()).toHaveLength(2));
    const hostile = [
      '',
      'null',
      '[]',
      '{"ask":"status"}',
      '{"ask":"status","to":"../other","from":"x"}',
      '{"ask":"status","to":"a*","from":"x"}',
      '{"ask":"stop","to":"a","from":"x"}',
      '{"ask":"pause","to":"a","from":"x","kind":"zset","name":"y"}',
      '{"ask":"pause","to":"a","from":"x","kind":"list"}',
      JSON.stringify({ ask: 'status', to: 'a', from: 'x'.repeat(5_000) }),
    ];
    const stranger = here.broker({ format: bare });
    for (const text of hostile)
      await stranger.publish(text, { channel: `${prefix}redstart:control` });
    expect(await own.fleet.status(PATIENT)).toHaveLength(2);
    const lines: string[] = [];
    await eventually(() => {
      lines.push(...takeLogs().map(({ message }) => message));
      // The first, the second, the fourth, the eighth.
      expect(lines).toHaveLength(4);
    });
    expect(lines[3]).toContain('a question to this process could not be read (8 times so far)');
  });
});

describe('the option control', () => {
  it('is off unless it is given: the process listens to nothing', async () => {
    const prefix = `${unique('fleet')}:`;
    const broker = newBroker(redisUrl(), { prefix });
    broker.subscriber('prices', () => 1);
    await broker.start();
    const client = rawClient();
    expect(await client.pubsub('CHANNELS', `${prefix}*`)).toEqual([`${prefix}prices`]);
    // Asking leaves nothing behind either.
    await broker.fleet.status();
    await eventually(async () =>
      expect(await client.pubsub('CHANNELS', `${prefix}*`)).toEqual([`${prefix}prices`]),
    );
  });

  it.each([1, 'on', null])('%o is a mistake', (control) => {
    expect(() => newBroker('memory://', { control: control as never })).toThrow(
      /'control' must be a boolean or 'status', got/,
    );
  });
});

describe('mistakes', () => {
  it.each([
    [undefined, 'expected a place'],
    [{}, 'expected one of channel, list or stream, got none'],
    [{ list: 'a', stream: 'b' }, 'got list and stream'],
    [{ list: 'a', group: 'g' }, "'group' is only for streams"],
    [{ stream: 'a', groups: 'g' }, "did you mean 'group'"],
    [{ stream: 'a', by: 1 }, "'by' must be a string"],
  ])('fleet.pause(%o)', async (which, message) => {
    const broker = newBroker('memory://');
    const error = await broker.fleet.pause(which as never).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SetupError);
    expect((error as Error).message).toContain(message);
  });

  it('fleet.status({ timeout: -1 })', async () => {
    const broker = newBroker('memory://');
    await expect(broker.fleet.status({ timeout: -1 })).rejects.toThrow(/'timeout' must be/);
    await expect(broker.fleet.status({ time: 1 } as never)).rejects.toThrow(
      "did you mean 'timeout'",
    );
  });
});

/** Writes bodies as they are, without a frame. */
const bare: MessageFormat = {
  encode: ({ body }) => Buffer.from(body),
  decode: (bytes) => ({ headers: {}, body: bytes }),
};

async function statesOf(broker: ReturnType<typeof newBroker>): Promise<string[]> {
  const all = await broker.fleet.status(PATIENT);
  return all.flatMap(({ subscribers }) => subscribers.map(({ state }) => state)).toSorted();
}
