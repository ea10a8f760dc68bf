import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { ownServer, rawClient } from '../support/redis.ts';
import { startProgram, type Child } from './child.ts';

const CALLS = isLong ? 1_000 : 200;
const CALLERS = 2;
const RESPONDERS = 2;
/** Processes that are killed. */
const KILLS = isLong ? 80 : 6;

const PLACES = {
  group: { stream: 'charges', group: 'g', claim: { minIdle: 500 } },
  'reliable list': { list: 'charges', reliable: true },
};

it.each(isLong ? (['group', 'reliable list'] as const) : (['group'] as const))(
  `${CALLS} calls with ids over a %s whose callers and responders are killed and restarted: one answer each, by one handler that ended`,
  { timeout: 320_000 },
  async (place) => {
    const server = await ownServer();
    const client = rawClient(server.url);
    const address = JSON.stringify(PLACES[place]);
    const killed = new Set<string>();
    const done = new Set<number>();
    let started = 0;
    let isOver = false;

    /** Runs a program again each time that it is killed. */
    const keepUp = async (role: 'caller' | 'responder', slot: number): Promise<void> => {
      const share = CALLS / CALLERS;
      const range = [slot * share + 1, (slot + 1) * share].map(String);
      while (!isOver && !(role === 'caller' && done.has(slot))) {
        const self = `${role}-${++started}`;
        const child = await startProgram('charging', [server.url, role, address, self, ...range]);
        running.set(`${role} ${slot}`, { child, self });
        for (;;) {
          const said = await child.next().catch(() => 'killed');
          if (said === 'done') done.add(slot);
          if (said === 'killed' || said === 'done') break;
          if (said !== 'started') throw new Error(String(said));
        }
      }
    };
    const running = new Map<string, { child: Child; self: string }>();
    const all = [
      ...Array.from({ length: CALLERS }, (_, slot) => keepUp('caller', slot)),
      ...Array.from({ length: RESPONDERS }, (_, slot) => keepUp('responder', slot)),
    ];
    onTestFinished(() => void (isOver = true));
    const failed = Promise.all(all);
    failed.catch(() => undefined); // it is awaited at the end
    const strike = async (): Promise<void> => {
      const slots = [...running.keys()].filter(
        (slot) => !done.has(Number(slot.at(-1))) || slot.startsWith('r'),
      );
      const slot = slots[Math.floor(Math.random() * slots.length)];
      const one = slot === undefined ? undefined : running.get(slot);
      if (one === undefined || killed.size === KILLS) return;
      killed.add(one.self);
      await one.child.kill();
    };
    const striking = setInterval(() => void strike(), isLong ? 500 : 250);
    try {
      await eventually(() => expect(done.size).toBe(CALLERS), 280_000);
    } finally {
      clearInterval(striking);
      isOver = true;
      for (const { child } of running.values()) await child.kill();
    }
    await failed;

    let runs = 0;
    for (let n = 1; n <= CALLS; n++) {
      const answers = await client.lrange(`answers:charge-${n}`, 0, -1);
      expect(answers.length, `answers of ${n}`).toBeGreaterThan(0);
      expect(new Set(answers).size, `different answers of ${n}`).toBe(1);
      const story = await client.lrange(`runs:charge-${n}`, 0, -1);
      const by = (what: string): string[] =>
        story.filter((line) => line.startsWith(what)).map((line) => line.split(' ')[1] as string);
      const begun = by('begun');
      runs += begun.length;
      const again = begun.slice(0, -1);
      // A handler ran again only where the process that it ran in was killed before the answer was kept.
      expect(
        again.filter((self) => !killed.has(self)),
        `${n}: ${story.join(', ')}`,
      ).toEqual([]);
      const answered = by('answered').filter(
        (self) => again.includes(self) && begun.at(-1) !== self,
      );
      expect(answered, `${n}: ${story.join(', ')}`).toEqual([]);
      expect(by('ended'), `${n}: ${story.join(', ')}`).toContain(
        answers[0]?.split(' by ')[1]?.split(',')[0],
      );
    }
    process.stderr.write(
      `${CALLS} calls with ids: ${runs} runs, ${killed.size} processes killed\n`,
    );
    expect(killed.size).toBeGreaterThan(0);
  },
);
