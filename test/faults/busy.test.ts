// A process that computes for seconds reads nothing meanwhile. It does not take its own delay for that of Redis.
import { spawnSync } from 'node:child_process';
import { binaryFormat, RedisBroker, type BrokerOptions } from 'redstart';
import { expect, it, onTestFinished } from 'vitest';
import { timingsOption, type Timings } from '../../src/transport/timings.ts';
import { eventually } from '../support/eventually.ts';
import { rawFrame } from '../support/frames.ts';
import { ownServer, rawClient } from '../support/redis.ts';
import { silentServer } from '../support/silent-server.ts';
import { PATIENT } from '../support/timings.ts';

function brokerAt(url: string, times: Partial<Timings> = {}): RedisBroker {
  const options = { logger: false, [timingsOption]: { ...PATIENT, ...times } } as BrokerOptions;
  const broker = new RedisBroker(url, options);
  onTestFinished(() => broker.stop());
  return broker;
}

/** Computes for so many milliseconds. */
function compute(ms: number): void {
  const began = performance.now();
  while (performance.now() - began < ms);
}

/** Another process sends a command, and ends `ms` milliseconds after the answer. Until then this one reads nothing. */
async function sendAndCompute(
  port: number,
  command: readonly (string | Buffer)[],
  ms: number,
): Promise<void> {
  // Behind this, Node runs timers before it reads sockets.
  await new Promise((resolve) => setImmediate(resolve));
  const parts = command.map((part) => Buffer.from(part as string));
  const bytes = Buffer.concat([
    Buffer.from(`*${parts.length}\r\n`),
    ...parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')]),
  ]);
  const program = `const socket = require('net').connect(${port}, '127.0.0.1');
    socket.write(Buffer.from('${bytes.toString('base64')}', 'base64'));
    socket.once('data', () => setTimeout(() => process.exit(), ${ms}));`;
  expect(spawnSync(process.execPath, ['-e', program]).status).toBe(0);
}

it('a process that computes for longer than its connection may take starts all the same', async () => {
  const { url } = await ownServer();
  const broker = brokerAt(url, { connect: 500 });
  broker.subscriber('c', (body) => body);
  const started = broker.start();
  await new Promise((resolve) => setImmediate(resolve)); // it is connecting now
  compute(1_000);
  await started;
  expect(await broker.publish(1, { channel: 'c', rpc: true, timeout: 20_000 })).toBe(1);
});

it('a process that computes again and again hears in time that a silent server does not answer, and why', async () => {
  const port = await silentServer();
  const broker = new RedisBroker(
    { host: '127.0.0.1', port, connectTimeout: 500 },
    { logger: false },
  );
  onTestFinished(() => broker.stop());
  let steps = 0;
  const busy = setInterval(() => {
    steps++;
    compute(150);
  }, 160);
  onTestFinished(() => clearInterval(busy));
  await expect(broker.connect()).rejects.toThrow(
    new RegExp(`127.0.0.1:${port}: (no answer within 500 ms|connect ETIMEDOUT)`),
  );
  // Each of ten steps is as long as one computation, at most, and then it asks why.
  expect(steps).toBeLessThan(40);
});

it('an item of a plain list that arrived while the process computed is not lost with the connection that it came on', async () => {
  const { url, port } = await ownServer();
  const broker = brokerAt(url, { block: 300, blockGrace: 300 });
  const items: unknown[] = [];
  broker.subscriber({ list: 'work' }, (body) => void items.push(body));
  await broker.start();
  for (const item of [1, 2]) {
    // The read seems to be overdue afterwards.
    await sendAndCompute(port, ['RPUSH', 'work', String(item)], 1_000);
    await eventually(() => expect(items).toHaveLength(item));
  }
  expect(items).toEqual([1, 2]);
});

it('a call whose answer arrived while its caller computed beyond the timeout has its answer', async () => {
  const { url, port } = await ownServer();
  const responder = rawClient(url);
  const requests: Buffer[] = [];
  responder.on('messageBuffer', (_channel, frame: Buffer) => void requests.push(frame));
  await responder.subscribe('ask');
  const caller = brokerAt(url);
  await caller.connect();
  const call = caller.publish(1, { channel: 'ask', rpc: true, timeout: 3_000 });
  await eventually(() => expect(requests).toHaveLength(1));
  const { headers } = binaryFormat.decode(requests[0] as Buffer);
  const { correlation_id = '', reply_to = '', 'redstart-call': id = '' } = headers;
  const answer = rawFrame({ correlation_id, 'redstart-call': id }, '"the answer"');
  await sendAndCompute(port, ['PUBLISH', reply_to, answer], 3_000);
  expect(await call).toBe('the answer');
});

it('a process that computed while it was asked for its health is healthy', async () => {
  const { url } = await ownServer();
  const broker = brokerAt(url);
  broker.subscriber('c', () => undefined);
  await broker.start();
  // Behind this, Node runs timers before it reads sockets.
  await new Promise((resolve) => setImmediate(resolve));
  const asked = [broker.health(), broker.ping()] as const;
  for (let n = 0; n < 50; n++) await Promise.resolve(); // the questions are made
  await new Promise<void>((resolve) => process.nextTick(resolve)); // … and written
  compute(4_000);
  const [health, isThere] = await Promise.all(asked);
  expect(health).toMatchObject({ status: 'green', problems: [] });
  expect(isThere).toBe(true);
});
