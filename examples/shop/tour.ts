// A tour of the shop: all six services in this process, customers who order over HTTP, and what goes wrong.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeadLetter } from 'redstart';
import { Bank, CARDS } from './bank.ts';
import { remind } from './contracts.ts';
import type { Mail } from './notifications.ts';
import { newShop } from './shop.ts';
import { Stock } from './stock.ts';
import { startTracing } from './tracing.ts';

/** The ids of orders begin with it: a Redis may still know those of the last tour. */
const run = `${randomUUID().slice(0, 8)}-`;
const trace = startTracing();
const bank = new Bank();
const stock = new Stock();
const mails: Mail[] = [];
const shop = newShop({
  redis: process.env['REDIS_URL'] ?? 'redis://localhost:6379',
  prefix: 'shop-tour:',
  bank,
  stock,
  send: (mail) => mails.push(mail),
  retryAfter: 50,
  remindAfter: 400,
  // The failures of this tour are meant; their log lines would be between its own.
  logger: false,
  port: 0,
  operationsPort: 0,
});
await shop.app.start();
const origin = shop.gateway?.listeningOrigin;

function say(text: string): void {
  console.log(text.replaceAll(run, ''));
}

async function send(
  method: string,
  path: string,
  { body, id }: { body?: object; id?: string } = {},
): Promise<{ status: number; answer: Record<string, unknown> }> {
  const response = await fetch(`${origin}${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(id === undefined ? {} : { 'idempotency-key': id }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
}

/** A customer orders one lamp, or something else. */
function order(name: string, wanted: object = {}): ReturnType<typeof send> {
  const body = { customer: 'ada', sku: 'lamp', quantity: 1, ...wanted };
  return send('POST', '/orders', { body, id: run + name });
}

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await isTrue()); await sleep(20))
    if (Date.now() > end) throw new Error(`waited too long: ${what}`);
}

const has = (name: string, status: string) => async (): Promise<boolean> =>
  (await send('GET', `/orders/${run}${name}`)).answer['status'] === status;

const mailsOf = (name: string): string[] =>
  mails.map(({ text }) => text).filter((text) => text.includes(`order ${run}${name}`));

try {
  say('\n1. Paid by card');
  const { status, answer } = await order('first', { card: 'card-good' });
  say(`   ${status}: ${String(answer['cents'])} cents, ${String(answer['status'])}`);
  await until('shipped', has('first', 'shipped'));
  await until('mails', () => mailsOf('first').length === 3);
  for (const text of mailsOf('first')) say(`   mail: ${text}`);

  say('\n2. The same order sent twice');
  const again = await order('first', { card: 'card-good' });
  say(
    `   ${again.status}: ${String(again.answer['orderId'])}, charged once: ${bank.charges(`${run}first`) === 1}`,
  );
  const other = await order('first', { card: 'card-good', quantity: 5 });
  say(`   the same key for another order: ${other.status} ${String(other.answer['code'])}`);

  say('\n3. Sold out, unknown, and wrong');
  const tooMany = await order('many', { sku: 'chair', quantity: 3 });
  say(
    `   ${tooMany.status} ${String(tooMany.answer['code'])} ${JSON.stringify(tooMany.answer['data'])}`,
  );
  const unknown = await order('unknown', { sku: 'sofa' });
  say(`   ${unknown.status} ${String(unknown.answer['code'])}`);
  const wrong = await order('wrong', { quantity: -1 });
  say(`   ${wrong.status} ${String(wrong.answer['code'])}`);

  say('\n4. The bank declines');
  await order('declined', { sku: 'chair', quantity: 2, card: CARDS.declined });
  await until('cancelled', has('declined', 'cancelled'));
  await until('given back', () => stock.left('chair') === 2);
  say('   cancelled, and the chairs are in stock again');

  say('\n5. The bank does not answer at first');
  await order('flaky', { card: CARDS.flaky });
  await until('paid', has('flaky', 'shipped'));
  say(`   shipped after ${bank.attempts(`${run}flaky`)} attempts`);

  say('\n6. A charge that fails every time');
  await order('poison', { card: CARDS.broken });
  const dead = shop.brokers[0].deadLetters({ stream: 'payments.charges:dead' });
  const letters = async (): Promise<DeadLetter[]> =>
    (await dead.list()).filter(({ body }) => JSON.stringify(body).includes(`${run}poison`));
  await until('a dead letter', async () => (await letters()).length > 0);
  for (const { id, error, deliveries } of await letters()) {
    say(`   dead after ${deliveries} deliveries: ${error}`);
    bank.isRepaired = true;
    say(`   the bank is repaired, ${await dead.redrive({ ids: [id] })} charge sent back`);
  }
  await until('shipped', has('poison', 'shipped'));
  say('   shipped');

  say('\n7. Invoices, paid late and in time');
  await order('late');
  await until('a reminder', () => mailsOf('late').length === 2);
  for (const text of mailsOf('late')) say(`   mail: ${text}`);
  await order('early');
  await until('the invoice', async () => {
    const paid = await send('POST', `/orders/${run}early/payment`);
    return paid.status === 200;
  });
  await until('shipped', has('early', 'shipped'));
  const waiting = await shop.brokers[0].delayed(remind).list();
  say(
    `   paid in time, reminders that wait: ${waiting.filter(({ id }) => id === `${run}early`).length}`,
  );

  say('\n8. What became of the first order, as one trace');
  for (const line of trace.first()) say(`   ${line}`);
} finally {
  await shop.app.stop();
}
