import { expect, it } from 'vitest';
import { isLong } from '../support/long.ts';
import { ownServer } from '../support/redis.ts';
import { startProgram } from './child.ts';

const CALLS = isLong ? 1_000_000 : 60_000;

interface Report {
  readonly before: { heap: number; listeners: { clients: number } };
  readonly after: { heap: number; listeners: { clients: number } };
  readonly pending: number;
  readonly ends: Record<string, number>;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

it.each([
  ['one and the same timeout', 'shared'],
  ['a timeout of their own each', 'own'],
])(
  `${CALLS} calls in a row with %s, errors and aborted ones among them, leave heap and listeners as they were`,
  { timeout: 300_000 },
  async (_title, timeouts) => {
    const server = await ownServer();
    const child = await startProgram('leaks', [server.url, String(CALLS), timeouts]);
    const { before, after, pending, ends } = (await child.next()) as Report;
    process.stderr.write(
      `${CALLS} calls, ${timeouts} timeouts: heap ${megabytes(before.heap)} before, ${megabytes(after.heap)} after; ${JSON.stringify(ends)}\n`,
    );
    const all = CALLS + 40_000;
    expect(ends).toMatchObject({ wrong: 0, errors: all / 1_000 });
    expect(ends['timeouts']).toBe(all / 1_000);
    expect(ends['aborted']).toBe(all / 1_000);
    expect(pending).toBe(0);
    expect(after.heap).toBeLessThan(before.heap * 1.05 + 2 * 2 ** 20);
    expect(before.listeners.clients).toBe(5); // commands and answers of both brokers, and channels of one
    expect(after.listeners).toEqual(before.listeners);
    // Nothing keeps the process alive once its brokers have stopped.
    const code = await new Promise((resolve) => {
      if (child.process.exitCode !== null) resolve(child.process.exitCode);
      child.process.once('exit', resolve);
    });
    expect(code).toBe(0);
  },
);
