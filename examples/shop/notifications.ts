// Notifications: tells customers what becomes of their orders.
import { subscriber } from 'redstart';
import { orderChanged, remind, type Order } from './contracts.ts';

export interface Mail {
  to: string;
  text: string;
}

export class Notifications {
  readonly #send: (mail: Mail) => void | Promise<void>;

  constructor(send: (mail: Mail) => void | Promise<void>) {
    this.#send = send;
  }

  // In order: nobody is told that an order was shipped before being told that it was paid, also where the first
  // mail fails and is tried again. Other customers do not wait for it.
  @subscriber(orderChanged, { group: 'notifications', ordered: true, concurrency: 20 })
  async changed({ customer, orderId, status }: Order): Promise<void> {
    await this.#send({ to: customer, text: `order ${orderId} is ${status}` });
  }

  @subscriber(remind)
  async remind(invoice: { customer: string; orderId: string; cents: number }): Promise<void> {
    const { customer, orderId, cents } = invoice;
    const amount = (cents / 100).toFixed(2);
    await this.#send({ to: customer, text: `please pay ${amount} for order ${orderId}` });
  }
}
