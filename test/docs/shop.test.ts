// examples/shop: its tour in one process, and its services in processes of their own. Its own tests are beside it.
import { once } from 'node:events';
import { spawn, type ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { eventually } from '../support/eventually.ts';
import { ownServer, redisUrl } from '../support/redis.ts';
import { compile, repository, run, workFolder } from './program.ts';

const TOUR = [
  '1. Paid by card',
  '201: 1999 cents, placed',
  'mail: order first is placed',
  'mail: order first is paid',
  'mail: order first is shipped',
  '2. The same order sent twice',
  '201: first, charged once: true',
  'the same key for another order: 409 ID_CONFLICT',
  '3. Sold out, unknown, and wrong',
  '409 SOLD_OUT {"sku":"chair","left":2}',
  '404 UNKNOWN_SKU',
  '400 INVALID_MESSAGE',
  '4. The bank declines',
  'cancelled, and the chairs are in stock again',
  '5. The bank does not answer at first',
  'shipped after 2 attempts',
  '6. A charge that fails every time',
  'dead after 4 deliveries: Error: the bank knows no such card',
  'the bank is repaired, 1 charge sent back',
  'shipped',
  '7. Invoices, paid late and in time',
  'mail: order late is placed',
  'mail: please pay 19.99 for order late',
  'paid in time, reminders that wait: 0',
  '8. What became of the first order, as one trace',
];

/** The spans of the first order. Services work at the same time, so their order differs. */
const TRACE = [
  'call shop-tour:orders.place',
  'process shop-tour:orders.place (Orders.place)',
  'call shop-tour:stock.reserve',
  'process shop-tour:stock.reserve (Stock.reserve)',
  'publish shop-tour:payments.charges',
  'process shop-tour:payments.charges (Payments.charge)',
  'publish shop-tour:payments',
  'process shop-tour:payments (Orders.settled)',
  'publish shop-tour:shipments',
  'process shop-tour:shipments (Orders.shipped)',
  ...['placed', 'paid', 'shipped'].flatMap(() => [
    'publish shop-tour:orders',
    'process shop-tour:orders (Notifications.changed)',
    'process shop-tour:orders (Shipments.ship)',
  ]),
];

/** The machine may be busy: a tour takes 2 s of its own. */
const timeout = 180_000;

const folder = workFolder();
afterAll(folder.remove);

beforeAll(async () => {
  const named = ['tour', 'main'].map((name) => [name, repository(`examples/shop/${name}.ts`)]);
  await compile(Object.fromEntries(named), folder.path, 'legacy');
});

/** Status and body. */
async function get(at: number | undefined, path: string): Promise<string> {
  const response = await fetch(`http://localhost:${at}${path}`);
  return `${response.status} ${await response.text()}`;
}

test.concurrent.each(['memory', 'Redis'])(
  'the tour goes as its README says (%s)',
  async (where) => {
    const url = where === 'memory' ? 'memory://' : redisUrl();
    const { code, stdout, stderr } = await run(`${folder.path}/tour.mjs`, url);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
    expect(lines.slice(0, TOUR.length)).toEqual(TOUR);
    expect(lines.slice(TOUR.length).toSorted()).toEqual(TRACE.toSorted());
  },
);

test(
  'each service runs in a process of its own, and all stop at SIGTERM',
  { timeout },
  async () => {
    const { url } = await ownServer();
    const [port, ...operations] = await Promise.all([freePort(), freePort(), freePort()]);
    const start = (operationsPort: number | undefined, ...services: string[]): ChildProcess => {
      const env = { REDIS_URL: url, PORT: String(port), OPERATIONS_PORT: String(operationsPort) };
      const child = spawn(process.execPath, [`${folder.path}/main.mjs`, ...services], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      onTestFinished(() => void child.kill('SIGKILL'));
      return child;
    };
    const back = start(operations[0], 'stock', 'payments', 'shipments', 'notifications');
    let mails = '';
    back.stdout?.setEncoding('utf8').on('data', (text: string) => (mails += text));
    const front = start(operations[1], 'gateway', 'orders');

    for (const at of operations)
      await eventually(async () => expect(await get(at, '/ready')).toBe('200 '));

    const ordered = await fetch(`http://localhost:${port}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'A' },
      body: '{"customer":"ada","sku":"lamp","quantity":1,"card":"good"}',
    });
    expect(ordered.status).toBe(201);
    await eventually(async () =>
      expect(await get(port, '/orders/A')).toMatch(/^200 .*"status":"shipped"/),
    );
    await eventually(() => expect(mails).toContain('mail to ada: order A is shipped'));
    expect(await get(operations[0], '/metrics')).toMatch(
      /redstart_handled_total\{address="shop:payments.charges",[^}]*outcome="ok"\} 1\n/,
    );
    expect(await get(operations[1], '/live')).toBe('200 ');
    expect(await get(operations[1], '/dashboard')).toContain('<title>shop');

    const ended = Promise.all([front, back].map((child) => once(child, 'exit')));
    front.kill('SIGTERM');
    back.kill('SIGTERM');
    expect(await ended).toEqual([
      [0, null],
      [0, null],
    ]);
  },
);
