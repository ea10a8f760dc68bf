// Orders: knows the state of each order, and says what is to be done next.
import { subscriber, type MessageContext } from 'redstart';
import {
  charge,
  findOrder,
  orderChanged,
  parcelSent,
  paymentSettled,
  placeOrder,
  releaseStock,
  reserveStock,
  type NewOrder,
  type Order,
} from './contracts.ts';

export class Orders {
  /** In the place of a database. */
  readonly #orders = new Map<string, Order>();

  // It may run twice for one order, when a process dies in the middle. Every step can be repeated: the call, the
  // event and the charge have ids, and Redis drops what was sent under the same id before.
  @subscriber(placeOrder)
  async place({ card, ...wanted }: NewOrder, ctx: MessageContext): Promise<Order> {
    const { orderId, customer, sku, quantity } = wanted;
    const id = orderId;
    const { cents } = await ctx.publish({ orderId, sku, quantity }, reserveStock, { id });
    const order = this.#orders.get(orderId) ?? { ...wanted, cents, status: 'placed' };
    this.#orders.set(orderId, order);
    const placed = { ...order, status: 'placed' } as const;
    await ctx.publish(placed, orderChanged, { id: `${orderId}-placed` });
    await ctx.publish({ orderId, customer, cents, card }, charge, { id });
    return placed;
  }

  @subscriber(findOrder)
  find({ orderId }: { orderId: string }): Order {
    const order = this.#orders.get(orderId);
    if (order === undefined) throw findOrder.error('UNKNOWN_ORDER', { orderId });
    return order;
  }

  @subscriber(paymentSettled, { group: 'orders', concurrency: 20 })
  async settled(
    { orderId, result }: { orderId: string; result: 'paid' | 'declined' },
    ctx: MessageContext,
  ): Promise<void> {
    if (result === 'paid') return this.#change(orderId, 'paid', ctx);
    await this.#change(orderId, 'cancelled', ctx);
    await ctx.publish({ orderId }, releaseStock, { id: orderId });
  }

  @subscriber(parcelSent, { group: 'orders', concurrency: 20 })
  async shipped({ orderId }: { orderId: string }, ctx: MessageContext): Promise<void> {
    await this.#change(orderId, 'shipped', ctx);
  }

  async #change(orderId: string, status: Order['status'], ctx: MessageContext): Promise<void> {
    const order = this.#orders.get(orderId);
    if (order === undefined) throw new Error(`there is no order ${orderId}`);
    // Written first, so that nobody hears of a state that is not written. Where the process dies in between, the
    // message comes again, and the event is published then.
    if (order.status !== 'shipped') this.#orders.set(orderId, { ...order, status });
    await ctx.publish({ ...order, status }, orderChanged, { id: `${orderId}-${status}` });
  }
}
