// The shop without a server and without waiting: redstart/testing gives the brokers a memory and a clock of their own.
import type { RedisBroker } from 'redstart';
import { testBroker, type TestBroker } from 'redstart/testing';
import { expect, onTestFinished, test } from 'vitest';
import { Bank, CARDS } from '../bank.ts';
import { charge, findOrder, payInvoice, placeOrder, remind } from '../contracts.ts';
import type { Mail } from '../notifications.ts';
import { Payments } from '../payments.ts';
import { newShop } from '../shop.ts';
import { Stock } from '../stock.ts';

interface Fixture {
  readonly broker: RedisBroker;
  readonly under: TestBroker;
  readonly bank: Bank;
  readonly stock: Stock;
  readonly mails: Mail[];
}

/** All services but the gateway. Their brokers are never connected to the server that they are given. */
async function startShop(): Promise<Fixture> {
  const bank = new Bank();
  const stock = new Stock();
  const mails: Mail[] = [];
  const services = ['orders', 'stock', 'payments', 'shipments', 'notifications'];
  const send = (mail: Mail): void => void mails.push(mail);
  const { brokers } = newShop({
    redis: 'redis://nowhere',
    services,
    bank,
    stock,
    send,
    logger: false,
  });
  const under = await testBroker(...brokers);
  onTestFinished(() => under.stop());
  return { broker: brokers[0], under, bank, stock, mails };
}

const lamp = { customer: 'ada', sku: 'lamp', quantity: 1 };

test('an order that is paid by card is shipped, and its customer hears of each step in order', async () => {
  const { broker, under, stock, mails } = await startShop();
  const order = await broker.publish({ ...lamp, orderId: 'A', card: 'good' }, placeOrder);
  expect(order).toMatchObject({ cents: 1999, status: 'placed' });
  await under.idle();
  expect(await broker.publish({ orderId: 'A' }, findOrder)).toMatchObject({ status: 'shipped' });
  expect(mails.map(({ text }) => text)).toEqual([
    'order A is placed',
    'order A is paid',
    'order A is shipped',
  ]);
  expect(stock.left('lamp')).toBe(9);
});

test('an order that is sent twice is placed and charged once', async () => {
  const { broker, under, bank, stock } = await startShop();
  const order = { ...lamp, orderId: 'A', card: 'good' };
  const [one, two] = await Promise.all([
    broker.publish(order, placeOrder, { id: 'A' }),
    broker.publish(order, placeOrder, { id: 'A' }),
  ]);
  expect(two).toEqual(one);
  await under.idle();
  expect(bank.charges('A')).toBe(1);
  expect(stock.left('lamp')).toBe(9);
});

test('what is sold out is refused with what is left, and nothing is charged', async () => {
  const { broker, under } = await startShop();
  const tooMany = { ...lamp, orderId: 'A', sku: 'chair', quantity: 3, card: 'good' };
  const error: unknown = await broker.publish(tooMany, placeOrder).catch((e: unknown) => e);
  if (!placeOrder.is(error, 'SOLD_OUT')) throw error;
  expect(error.data.left).toBe(2);
  expect(under.published(charge)).toEqual([]);
});

test('a declined card cancels the order and gives the goods back', async () => {
  const { broker, under, stock } = await startShop();
  await broker.publish({ ...lamp, orderId: 'A', card: CARDS.declined }, placeOrder);
  await under.idle();
  expect(await broker.publish({ orderId: 'A' }, findOrder)).toMatchObject({ status: 'cancelled' });
  expect(stock.left('lamp')).toBe(10);
});

test('a charge that fails is tried again, and then a dead letter, which can be sent back', async () => {
  const { broker, under, bank } = await startShop();
  await broker.publish({ ...lamp, orderId: 'A', card: CARDS.broken }, placeOrder);
  await under.idle();
  await under.advance(60_000);
  expect(under.handled(Payments, 'charge')).toHaveLength(4);
  const dead = broker.deadLetters({ stream: 'payments.charges:dead' });
  expect(await dead.list()).toMatchObject([{ body: { orderId: 'A' }, deliveries: 4 }]);
  bank.isRepaired = true;
  expect(await dead.redrive()).toBe(1);
  await under.idle();
  expect(await broker.publish({ orderId: 'A' }, findOrder)).toMatchObject({ status: 'shipped' });
});

test('an unpaid invoice is followed by a reminder after a week, a paid one is not', async () => {
  const { broker, under, mails } = await startShop();
  for (const orderId of ['A', 'B']) await broker.publish({ ...lamp, orderId }, placeOrder);
  await under.idle();
  expect(await broker.publish({ orderId: 'B' }, payInvoice)).toEqual({ cents: 1999 });
  await under.advance(7 * 86_400_000);
  await under.idle();
  expect(under.published(remind).map(({ body }) => body)).toMatchObject([
    { orderId: 'A' },
    { orderId: 'B' },
  ]);
  const reminders = mails.filter(({ text }) => text.startsWith('please pay'));
  expect(reminders).toEqual([{ to: 'ada', text: 'please pay 19.99 for order A' }]);
});
