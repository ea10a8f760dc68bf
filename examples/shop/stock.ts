// Stock: knows what is there, and keeps goods for orders.
import { subscriber } from 'redstart';
import { releaseStock, reserveStock } from './contracts.ts';

interface Wanted {
  orderId: string;
  sku: string;
  quantity: number;
}

export class Stock {
  /** In the place of a database. */
  readonly #goods = new Map([
    ['lamp', { cents: 1999, left: 10 }],
    ['chair', { cents: 8900, left: 2 }],
  ]);
  readonly #reserved = new Map<string, Wanted>();

  left(sku: string): number | undefined {
    return this.#goods.get(sku)?.left;
  }

  @subscriber(reserveStock)
  reserve(wanted: Wanted): { cents: number } {
    const { orderId, sku, quantity } = wanted;
    const goods = this.#goods.get(sku);
    if (goods === undefined) throw reserveStock.error('UNKNOWN_SKU', { sku });
    // Asked again for the same order, it takes nothing again.
    if (!this.#reserved.has(orderId)) {
      const { left } = goods;
      if (left < quantity) throw reserveStock.error('SOLD_OUT', { sku, left });
      goods.left -= quantity;
      this.#reserved.set(orderId, wanted);
    }
    return { cents: goods.cents * quantity };
  }

  @subscriber(releaseStock)
  release({ orderId }: { orderId: string }): void {
    const reserved = this.#reserved.get(orderId);
    if (reserved === undefined) return;
    this.#reserved.delete(orderId);
    const goods = this.#goods.get(reserved.sku);
    if (goods !== undefined) goods.left += reserved.quantity;
  }
}
