// Payments: charges cards, and reminds customers of their invoices.
import { subscriber, type MessageContext, type RedisBroker } from 'redstart';
import type { Bank } from './bank.ts';
import { charge, payInvoice, paymentSettled, remind } from './contracts.ts';

interface Charge {
  orderId: string;
  customer: string;
  cents: number;
  card?: string | undefined;
}

export class Payments {
  /** Invoices by order, in the place of a database. */
  readonly #invoices = new Map<string, number>();
  readonly #broker: RedisBroker;
  readonly #bank: Bank;
  readonly #remindAfter: number;

  /** @param remindAfter Milliseconds after which a customer is reminded of an invoice. */
  constructor(broker: RedisBroker, bank: Bank, remindAfter: number) {
    this.#broker = broker;
    this.#bank = bank;
    this.#remindAfter = remindAfter;
  }

  // When the bank throws, the charge comes again after a pause; after four deliveries it is a dead letter.
  @subscriber(charge)
  async charge({ orderId, customer, cents, card }: Charge, ctx: MessageContext): Promise<void> {
    if (card === undefined) {
      this.#invoices.set(orderId, cents);
      const later = { id: orderId, delay: this.#remindAfter };
      await ctx.publish({ orderId, customer, cents }, remind, later);
      return;
    }
    // The bank gets a key, too: an effect outside Redis happens again where the process dies right after it.
    const result = await this.#bank.charge(orderId, card);
    ctx.logger.info({ orderId, cents, result }, 'charged');
    await ctx.publish({ orderId, result }, paymentSettled, { id: orderId });
  }

  @subscriber(payInvoice)
  async pay({ orderId }: { orderId: string }, ctx: MessageContext): Promise<{ cents: number }> {
    const cents = this.#invoices.get(orderId);
    if (cents === undefined) throw payInvoice.error('NO_INVOICE', { orderId });
    // The id of a delayed message is its handle. False, and no error, where the reminder was sent already.
    await this.#broker.cancel(remind, orderId);
    await ctx.publish({ orderId, result: 'paid' }, paymentSettled, { id: orderId });
    return { cents };
  }
}
