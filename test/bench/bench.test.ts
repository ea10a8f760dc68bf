// What `npm run bench` makes of what it measured: noise or loss, the schedule of calls, results of several runs.
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { repository } from '../docs/program.ts';

interface Verdict {
  what: string;
  value: number;
  pass: boolean;
  clear: boolean;
  counted?: boolean;
  outcome?: string;
}
type Row = Record<string, number[] | string>;
interface Decided {
  rows: Row[];
  verdicts: Verdict[];
  attempts: { disturbed: string[]; missed: string[] }[];
}
interface Bench {
  disturbances(seen: Partial<Record<'steal' | 'foreign' | 'before' | 'after', number>>): string[];
  measureUntilDecided(options: {
    name: string;
    attempt: () => Promise<{ rows: Row[]; disturbed: string[] }>;
    verdictsOf: (rows: Row[]) => Verdict[];
    say: (line: string) => void;
    repeats?: boolean;
  }): Promise<Decided>;
  pool(rows: Row[], more: Row[]): Row[];
  verdicts(groups: Record<string, Row[]>): Verdict[];
  scheduleOf(options: { rate: number; milliseconds: number; seed: number }): number[];
  pace(
    call: (body: { n: number }) => Promise<{ n: number }>,
    options: object,
  ): Promise<Record<'p50' | 'p99' | 'max' | 'late', number>>;
  Metronome: { open(): Promise<object> };
  sharesOf(profile: object): Record<string, number>;
  merge(old: object, run: object): Record<string, Record<string, unknown>>;
}

const load = async (...names: string[]): Promise<Bench> => {
  const modules = names.map((name) => import(repository(`test/bench/src/${name}.mjs`)));
  return Object.assign({}, ...(await Promise.all(modules))) as Bench;
};

const bench = await load(
  'machine',
  'judgement',
  'targets',
  'pace',
  'metronome',
  'results',
  'profiler',
);

const source = (path: string) => pathToFileURL(repository(path)).href;

describe('a profile', () => {
  it('says which part of a program the time goes to, without the time that it waits', () => {
    const frames = [
      ['(idle)', ''],
      ['(garbage collector)', ''],
      ['handle', source('dist/chunks/consume.js')],
      ['serve', source('test/bench/src/contenders/floors.mjs')],
      ['sendCommand', source('node_modules/ioredis/built/Redis.js')],
      ['write', 'node:net'],
      ['writeBuffer', ''],
    ] as const;
    const nodes = frames.map(([functionName, url], id) => ({
      id,
      callFrame: { functionName, url },
    }));
    const samples = [0, 1, 2, 3, 4, 5, 6, 2];
    const timeDeltas = [900, 10, 20, 10, 10, 10, 20, 20];
    expect(bench.sharesOf({ nodes, samples, timeDeltas })).toEqual({
      gc: 0.1,
      redstart: 0.4,
      bench: 0.1,
      ioredis: 0.1,
      node: 0.1,
      system: 0.2,
    });
  });
});

describe('the machine', () => {
  it('is quiet where nobody else took time and its speed stayed', () => {
    expect(bench.disturbances({ steal: 0.01, foreign: 0.02, before: 100, after: 95 })).toEqual([]);
    // Where the system does not tell.
    expect(bench.disturbances({ before: 100, after: 101 })).toEqual([]);
    expect(bench.disturbances({})).toEqual([]);
  });

  it('is disturbed by a hypervisor, by other programs, and by another speed', () => {
    expect(bench.disturbances({ steal: 0.1, foreign: 0.25, before: 100, after: 70 })).toEqual([
      'the hypervisor took 10 % of the CPU',
      'other programs used 25 % of the CPU',
      'the speed of the machine changed by 43 % on the way',
    ]);
    expect(bench.disturbances({ before: 70, after: 100 })).toHaveLength(1);
  });
});

/** Measures a group that comes to these values, one for each attempt: `{ ratios, disturbed }`. */
async function decide(
  script: { ratios: number[]; disturbed?: boolean }[],
  { repeats = true, counted = false } = {},
) {
  const left = [...script];
  const said: string[] = [];
  const decided = await bench.measureUntilDecided({
    name: 'calls',
    attempt: async () => {
      const next = left.shift();
      if (next === undefined) throw new Error('one attempt too many');
      const { ratios, disturbed } = next;
      return { rows: [{ kind: 'list', ratios }], disturbed: disturbed ? ['a loud neighbour'] : [] };
    },
    verdictsOf: (rows) => {
      const ratios = rows.flatMap((row) => row['ratios'] as number[]).toSorted((a, b) => a - b);
      const value = ratios[ratios.length >> 1] as number;
      const limit = 0.85;
      const pass = value >= limit;
      const agreeing = ratios.filter((one) => one >= limit === pass);
      const clear = agreeing.length / ratios.length >= 0.75;
      return [{ what: 'calls/s', value, pass, clear, counted }];
    },
    say: (line) => void said.push(line),
    repeats,
  });
  return { ...decided, said, unused: left.length, outcome: decided.verdicts[0]?.outcome };
}

const GOOD = { ratios: [0.9, 1, 1.1] };
const BAD = { ratios: [0.6, 0.7, 0.8] };
const UNCLEAR = { ratios: [0.7, 0.8, 0.9] };
const LOUD = { disturbed: true };

describe('noise or loss', () => {
  it('a limit that holds in quiet is measured once', async () => {
    const { outcome, said, unused } = await decide([GOOD, GOOD]);
    expect([outcome, said, unused]).toEqual(['pass', [], 1]);
  });

  it('a limit that is missed twice in quiet is missed', async () => {
    const { outcome, said, unused } = await decide([BAD, BAD, GOOD]);
    expect([outcome, unused]).toEqual(['miss', 1]);
    expect(said).toEqual([
      'calls: measured again, 1 limits missed in quiet: calls/s',
      'calls: not measured again, 1 limits missed in quiet: calls/s',
    ]);
  });

  it('what the machine disturbed is measured again, and does not count', async () => {
    const { outcome, said, rows, attempts } = await decide([{ ...BAD, ...LOUD }, GOOD]);
    expect(outcome).toBe('pass');
    expect(said).toEqual(['calls: measured again, disturbed: a loud neighbour']);
    expect(rows).toEqual([{ kind: 'list', ratios: GOOD.ratios }]);
    expect(attempts).toEqual([
      { disturbed: ['a loud neighbour'], missed: ['calls/s'] },
      { disturbed: [], missed: [] },
    ]);
    // One miss in quiet and one in noise are not two in quiet.
    expect((await decide([BAD, { ...BAD, ...LOUD }, GOOD])).outcome).toBe('pass');
  });

  it('noise passes nothing, either', async () => {
    const loud = { ...GOOD, ...LOUD };
    expect(await decide([loud, loud, loud])).toMatchObject({ outcome: 'unsure', unused: 0 });
    expect(await decide([loud, BAD, BAD])).toMatchObject({ outcome: 'miss' });
  });

  it('what is counted is the same on a loud machine', async () => {
    const loud = { ...BAD, ...LOUD };
    expect(await decide([loud, loud, loud], { counted: true })).toMatchObject({ outcome: 'miss' });
  });

  it('rounds that do not agree make no miss', async () => {
    expect(await decide([UNCLEAR, UNCLEAR, UNCLEAR])).toMatchObject({ outcome: 'unsure' });
    expect(await decide([UNCLEAR, BAD, BAD])).toMatchObject({ outcome: 'miss' });
  });

  it('a limit that is missed once and then held passes if all rounds together hold it', async () => {
    const lucky = { ratios: [0.84, 0.85, 0.86] };
    expect(await decide([{ ratios: [0.83, 0.84, 0.84] }, { ratios: [1, 1, 1] }])).toMatchObject({
      outcome: 'pass',
      rows: [{ ratios: [0.83, 0.84, 0.84, 1, 1, 1] }],
    });
    expect(await decide([{ ratios: [0.6, 0.6, 0.6] }, lucky])).toMatchObject({ outcome: 'unsure' });
  });

  it('a glance repeats nothing', async () => {
    expect(await decide([BAD, BAD], { repeats: false })).toMatchObject({ unused: 1 });
  });

  it('pools the rounds of the same point only', () => {
    const one = { kind: 'list', inFlight: '64', rate: [1, 2] };
    const other = { kind: 'list', inFlight: '512', rate: [3] };
    expect(bench.pool([one, other], [{ ...one, rate: [4] }])).toEqual([
      { ...one, rate: [1, 2, 4] },
      other,
    ]);
  });
});

it('a verdict says whether its rounds agree', () => {
  const opened = { what: 'connections', mode: 'shared', connections: [8] };
  const last = (max: number[]) =>
    bench.verdicts({ connections: [opened, { what: 'full', mode: 'shared', max }] }).at(-1);
  expect(last([10_000, 20_000, 90_000])).toMatchObject({ value: 20, pass: true, clear: false });
  expect(last([60_000, 70_000, 90_000])).toMatchObject({ value: 70, pass: false, clear: true });
  expect(bench.verdicts({})).toEqual([]);
});

describe('calls by a schedule', () => {
  it('start as often as they should, at random, the same for everybody', () => {
    const options = { rate: 5_000, milliseconds: 2_000, seed: 1 };
    const due = bench.scheduleOf(options);
    expect(due).toEqual(bench.scheduleOf(options));
    expect(due).not.toEqual(bench.scheduleOf({ ...options, seed: 2 }));
    expect(due.length).toBeGreaterThan(9_500);
    expect(due.length).toBeLessThan(10_500);
    expect(due).toEqual(due.toSorted((a, b) => a - b));
    // In one of twelve halves of a millisecond nothing is due: (1/e)^2.5.
    const busy = new Set(due.map((at) => Math.floor(at * 2)));
    expect(busy.size / 4_000).toBeCloseTo(1 - Math.exp(-2.5), 1);
  });

  it('a stall counts for every call that was due in it, not only for the one that stalled', async () => {
    const metronome = await bench.Metronome.open();
    const options = { rate: 1_000, milliseconds: 200, seed: 1, body: {}, metronome };
    let stalled = false;
    const call = async ({ n }: { n: number }) => {
      if (n === 20) {
        stalled = true;
        const end = performance.now() + 150;
        while (performance.now() < end);
      }
      return { n };
    };
    const { p50, max } = await bench.pace(call, options);
    expect(stalled).toBe(true);
    // Most of the calls were due while nothing moved: a closed loop would show one that took long.
    expect(max).toBeGreaterThanOrEqual(149_000);
    expect(p50).toBeGreaterThan(1_000);
    expect(p50).toBeLessThan(max);
  });

  it('an answer of another call, or none, is an error', async () => {
    const metronome = await bench.Metronome.open();
    const options = { rate: 1_000, milliseconds: 20, seed: 1, body: {}, metronome };
    await expect(bench.pace(async () => ({ n: 0 }), options)).rejects.toThrow(/the answer of 0/);
    await expect(bench.pace(() => Promise.reject(new Error('no')), options)).rejects.toThrow('no');
  });
});

it('a run of some groups leaves the others as they were, and says when it was', () => {
  const common = { rounds: 5, machine: {}, versions: {} };
  const old = {
    ...common,
    date: 'monday',
    groups: { calls: [1], memory: [2] },
    verdicts: [
      { group: 'calls', what: 'a', pass: true },
      { group: 'memory', what: 'b', pass: true },
    ],
  };
  const run = {
    ...common,
    date: 'tuesday',
    groups: { memory: [3], curves: [4] },
    verdicts: [{ group: 'memory', what: 'c' }],
    attempts: { memory: [], curves: [] },
  };
  expect(bench.merge(old, run)).toMatchObject({
    date: 'monday',
    runs: { memory: { date: 'tuesday' }, curves: { date: 'tuesday' } },
    groups: { calls: [1], memory: [3], curves: [4] },
    verdicts: [
      { group: 'calls', what: 'a', outcome: 'pass' },
      { group: 'memory', what: 'c' },
    ],
  });
});
