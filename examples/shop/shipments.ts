// Shipments: sends a parcel for each order that is paid.
import { subscriber, type MessageContext } from 'redstart';
import { orderChanged, parcelSent, type Order } from './contracts.ts';

export class Shipments {
  // The group gets every event of the stream; this service wants one kind of them.
  @subscriber(orderChanged, { group: 'shipments', concurrency: 20 })
  async ship({ orderId, status }: Order, ctx: MessageContext): Promise<void> {
    if (status !== 'paid') return;
    await ctx.publish({ orderId, parcel: `P-${orderId}` }, parcelSent, { id: orderId });
  }
}
