import { expect, it } from 'vitest';
import { ownServer } from '../support/redis.ts';
import { startProgram } from './child.ts';

const CALLS = process.env['REDSTART_LONG'] === '1' ? 1_000_000 : 200_000;

interface Report {
  readonly before: { heap: number; listeners: object };
  readonly after: { heap: number; listeners: object };
  readonly pending: number;
  readonly ends: Record<string, number>;
}

it(
  `${CALLS} calls in a row, time-outs, errors and aborted ones among them, leave heap and listeners as they were`,
  { timeout: 300_000 },
  async () => {
    const server = await ownServer();
    const child = await startProgram('leaks', server.url, String(CALLS));
    const { before, after, pending, ends } = (await child.next()) as Report;
    const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;
    process.stderr.write(
      `${CALLS} calls: heap ${megabytes(before.heap)} before, ${megabytes(after.heap)} after; ${JSON.stringify(ends)}\n`,
    );
    const all = CALLS + 40_000;
    expect(ends).toMatchObject({ wrong: 0, errors: all / 1_000 });
    expect(ends['timeouts']).toBe(all / 1_000);
    expect(ends['aborted']).toBe(all / 1_000);
    expect(pending).toBe(0);
    expect(after.heap).toBeLessThan(before.heap * 1.05 + 2 * 2 ** 20);
    expect(after.listeners).toEqual(before.listeners);
    // Nothing keeps the process alive once its brokers have stopped.
    const code = await new Promise((resolve) => {
      if (child.process.exitCode !== null) resolve(child.process.exitCode);
      child.process.once('exit', resolve);
    });
    expect(code).toBe(0);
  },
);
