// A channel's messages are lost while its connection is down. The log warns of it, and of no less than is known.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RedisBroker, type BrokerOptions, type Logger } from 'redstart';
import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ownServer, rawClient } from '../support/redis.ts';
import { timingsOption } from '../../src/transport/timings.ts';
import { PATIENT } from '../support/timings.ts';

/** A logger that keeps all lines with their level. */
function keeper(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const keep =
    (level: string) =>
    (fields: object | string, message = ''): void =>
      void lines.push(`${level}: ${typeof fields === 'string' ? fields : message}`);
  const logger = { debug() {}, info: keep('info'), warn: keep('warn'), error: keep('error') };
  return { logger, lines };
}

const GAP =
  /^warn: subscriptions: channels are heard again; what was published in the (\d+) ms before may be lost$/;

/** The gaps that were warned of, in milliseconds. */
function gapsIn(lines: readonly string[]): number[] {
  return lines.flatMap((line) => GAP.exec(line)?.[1] ?? []).map(Number);
}

it('a gap of a channel is a warning that says how long it may have been', async () => {
  const server = await ownServer();
  const { logger, lines } = keeper();
  const broker = new RedisBroker(server.url, { logger, [timingsOption]: PATIENT } as BrokerOptions);
  broker.subscriber('c', () => undefined);
  await broker.start();
  await rawClient(server.url).call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await eventually(() => expect(gapsIn(lines)).toHaveLength(1));
  await broker.stop();
});

it('where nobody listens to a channel, there is no gap to warn of', async () => {
  const server = await ownServer();
  const { logger, lines } = keeper();
  const broker = new RedisBroker(server.url, { logger, [timingsOption]: PATIENT } as BrokerOptions);
  const subscriber = broker.subscriber('c', () => undefined);
  broker.subscriber({ list: 'l' }, (body) => body);
  await broker.start();
  await subscriber.stop();
  const call = { list: 'l', rpc: true, timeout: 40_000 } as const;
  expect(await broker.publish(1, call)).toBe(1);
  await rawClient(server.url).call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await eventually(() => expect(lines.join('\n')).toContain('answers are heard again'));
  expect(await broker.publish(2, call)).toBe(2);
  expect(gapsIn(lines)).toEqual([]);
  await broker.stop();
});

it('a process that was too busy to notice the cut does not take the gap for a short one', async () => {
  const server = await ownServer();
  const { logger, lines } = keeper();
  const broker = new RedisBroker(server.url, { logger, [timingsOption]: PATIENT } as BrokerOptions);
  broker.subscriber('c', () => undefined);
  await broker.start();
  const folder = mkdtempSync(join(tmpdir(), 'redstart-gap-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [isBusy, isCut] = [join(folder, 'is busy'), join(folder, 'is cut')];
  const program = `import { Redis } from 'ioredis';
    import { existsSync, writeFileSync } from 'node:fs';
    const client = new Redis('${server.url}');
    await client.ping();
    console.log('ready');
    while (!existsSync('${isBusy}')) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 100));
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    writeFileSync('${isCut}', '');
    process.exit();`;
  const killer = spawn(process.execPath, ['--input-type=module', '-e', program]);
  const ended = new Promise((resolve) => killer.once('close', resolve));
  await new Promise((resolve) => killer.stdout.once('data', resolve));
  const began = performance.now();
  writeFileSync(isBusy, ''); // the cut is made when nothing is read any more, and not before
  // The handler of somebody else computes, and nothing is read; on a busy machine until the cut is made.
  const spent = (): number => performance.now() - began;
  while (spent() < 1_000 || (!existsSync(isCut) && spent() < 20_000));
  await ended;
  await eventually(() => expect(gapsIn(lines)).toHaveLength(1));
  expect(gapsIn(lines)[0]).toBeGreaterThanOrEqual(1_000);
  await broker.stop();
});
