// What the services say to each other. Services import this file, and nothing else of each other: a team
// makes it a package of its own.
import { event, rpc } from 'redstart';
import { z } from 'zod';

const DAY = 86_400_000;
const orderId = z.string().min(1).max(100);
const cents = z.number().int().nonnegative();

export const NewOrder = z.object({
  orderId,
  customer: z.string().min(1),
  sku: z.string().min(1),
  quantity: z.number().int().positive(),
  /** The number of a card. Without one the customer gets an invoice. */
  card: z.string().optional(),
});
export type NewOrder = z.output<typeof NewOrder>;

export const Order = NewOrder.omit({ card: true }).extend({
  cents,
  status: z.enum(['placed', 'paid', 'shipped', 'cancelled']),
});
export type Order = z.output<typeof Order>;

// Calls. They are on lists, so that one replica of a service gets each of them; on a channel, every replica
// would. `reliable` has a call that died with its process handled by another one.

/** Gateway → orders. The id of the call is the id of the order: asking again places no second order. */
export const placeOrder = rpc(
  { list: 'orders.place', reliable: true, concurrency: 20 },
  {
    request: NewOrder,
    reply: Order,
    errors: {
      SOLD_OUT: z.object({ sku: z.string(), left: z.number() }),
      UNKNOWN_SKU: z.object({ sku: z.string() }),
    },
  },
);

/** Gateway → orders. */
export const findOrder = rpc(
  { list: 'orders.find', concurrency: 20 },
  {
    request: z.object({ orderId }),
    reply: Order,
    errors: { UNKNOWN_ORDER: z.object({ orderId }) },
  },
);

/** Orders → stock. Its errors are those of `placeOrder`: they pass through orders to the gateway as they are. */
export const reserveStock = rpc(
  { list: 'stock.reserve', reliable: true, concurrency: 20 },
  {
    request: z.object({ orderId, sku: z.string(), quantity: z.number() }),
    reply: z.object({ cents }),
    errors: placeOrder.errors,
  },
);

/** Gateway → payments: the customer has paid an invoice. */
export const payInvoice = rpc(
  { list: 'payments.invoices', reliable: true },
  {
    request: z.object({ orderId }),
    reply: z.object({ cents }),
    errors: { NO_INVOICE: z.object({ orderId }) },
  },
);

// Work to be done. A reliable list keeps each item until one replica has done it, or gives it up: then it is in the
// dead letters, `<list>:dead`. `once` drops an item that was done already.

/** Orders → stock: the goods of a cancelled order can be sold again. */
export const releaseStock = event(
  { list: 'stock.release', reliable: true, once: DAY },
  { schema: z.object({ orderId }) },
);

/** Orders → payments: get the money. */
export const charge = event(
  {
    list: 'payments.charges',
    reliable: true,
    once: DAY,
    concurrency: 5,
  },
  {
    schema: NewOrder.pick({ orderId: true, customer: true, card: true }).extend({ cents }),
  },
);

/** Payments → notifications, sent with a delay: the invoice is still not paid. */
export const remind = event(
  { list: 'notifications.reminders', reliable: true, once: DAY },
  { schema: z.object({ orderId, customer: z.string(), cents }) },
);

// What has happened. Every service that wants to know reads the stream as a group of its own name, and each group
// gets each event. `maxlen` keeps the streams from growing for ever. Only one service writes to each.

/** Of payments. */
export const paymentSettled = event(
  { stream: 'payments', maxlen: 100_000 },
  { schema: z.object({ orderId, result: z.enum(['paid', 'declined']) }) },
);

/** Of shipments. */
export const parcelSent = event(
  { stream: 'shipments', maxlen: 100_000 },
  { schema: z.object({ orderId, parcel: z.string() }) },
);

/** Of orders. The key puts the events of one order in one lane, for whoever must handle them in order. */
export const orderChanged = event(
  { stream: 'orders', maxlen: 100_000 },
  { schema: Order, key: (order) => order.orderId },
);
