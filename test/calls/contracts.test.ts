import {
  InvalidMessageError,
  RpcError,
  SetupError,
  event,
  rpc,
  subscriber,
  type MessageContext,
} from 'redstart';
import { expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const Order = z.object({ sku: z.string(), quantity: z.number().int().default(1) });
const Receipt = z.object({ id: z.string() });

function contractsAt(place: string) {
  return {
    placeOrder: rpc(
      { list: `${place}:orders` },
      {
        request: Order,
        reply: Receipt,
        errors: { OUT_OF_STOCK: z.object({ left: z.number() }) },
      },
    ),
    tail: rpc(`${place}:tail`, { request: z.number(), reply: z.string(), many: true }),
    shipped: event({ stream: `${place}:shipped`, group: 'warehouse' }, { schema: Receipt }),
  };
}

onBothBackends('a contract', (bench) => {
  function set() {
    const { broker, name } = bench();
    const contracts = contractsAt(name());
    const { placeOrder, tail, shipped } = contracts;
    const seen: unknown[] = [];
    class Shop {
      @subscriber(placeOrder)
      place(order: z.infer<typeof Order>) {
        if (order.sku === 'none') throw placeOrder.error('OUT_OF_STOCK', { left: 0 });
        if (order.sku === 'liar') return { id: 7 } as never;
        if (order.sku === 'vague') throw new RpcError('OUT_OF_STOCK', 'no data');
        return { id: `${order.sku}x${order.quantity}` };
      }

      @subscriber(tail)
      async *lines(count: number) {
        for (let i = 0; i < count; i++) yield `line ${i}`;
      }

      @subscriber(shipped)
      ship(receipt: z.infer<typeof Receipt>, ctx: MessageContext) {
        seen.push([receipt, ctx.message.deliveryCount]);
      }
    }
    const service = broker();
    service.register(new Shop());
    return { service, contracts, seen };
  }

  it('serves publish, request, stream and clientFor, with defaults of its schema filled in', async () => {
    const { service, contracts, seen } = set();
    await service.start();
    const receipt = await service.publish({ sku: 'a' }, contracts.placeOrder, { timeout: 5_000 });
    expectTypeOf(receipt).toEqualTypeOf<{ id: string }>();
    expect(receipt).toEqual({ id: 'ax1' });
    const reply = await service.request({ sku: 'b', quantity: 2 }, contracts.placeOrder);
    expect(reply.body.id).toBe('bx2');
    expect(await collect(service.requestMany(2, contracts.tail))).toEqual(['line 0', 'line 1']);

    const client = service.clientFor(contracts);
    expect(await client.placeOrder({ sku: 'c' })).toEqual({ id: 'cx1' });
    const lines = client.tail(3);
    expectTypeOf(lines).toEqualTypeOf<AsyncIterableIterator<string, undefined>>();
    expect(await collect(lines)).toHaveLength(3);
    await client.shipped({ id: 'c' });
    await eventually(() => expect(seen).toEqual([[{ id: 'c' }, 1]]));
  });

  it('brings its errors back typed, their data checked on both sides', async () => {
    const { service, contracts } = set();
    await service.start();
    const { placeOrder } = contracts;
    const error: unknown = await service
      .publish({ sku: 'none' }, placeOrder)
      .catch((caught: unknown) => caught);
    expect(placeOrder.is(error, 'OUT_OF_STOCK')).toBe(true);
    if (placeOrder.is(error, 'OUT_OF_STOCK')) {
      expectTypeOf(error.data).toEqualTypeOf<{ left: number }>();
    }
    expect(error).toMatchObject({ code: 'OUT_OF_STOCK', data: { left: 0 } });
    const vague = service.publish({ sku: 'vague' }, placeOrder);
    await expect(vague).rejects.toBeInstanceOf(InvalidMessageError);
    takeLogs(); // the handler broke its contract
  });

  it('refuses what does not fit, before it is sent and before it is answered', async () => {
    const { service, contracts } = set();
    const { placeOrder } = contracts;
    // @ts-expect-error -- the compiler says so first
    const bad = service.publish({ sku: 1 }, placeOrder);
    await expect(bad).rejects.toBeInstanceOf(InvalidMessageError);
    expect(service.stats.pendingCalls).toBe(0);
    await service.start();
    await expect(service.publish({ sku: 'liar' }, placeOrder)).rejects.toMatchObject({
      code: 'INVALID_MESSAGE',
    });
    expect(takeLogs()).toHaveLength(1);
  });

  it('says so when a stream is called like a call, or a call like a stream', async () => {
    const { service, contracts } = set();
    // @ts-expect-error -- a stream
    await expect(service.publish(1, contracts.tail)).rejects.toBeInstanceOf(SetupError);
    // @ts-expect-error -- a call
    expect(() => service.requestMany({ sku: 'a' }, contracts.placeOrder)).toThrow('answered once');
    expect(() => service.clientFor({ nothing: {} as never })).toThrow(
      "'nothing' is not a contract",
    );
  });
});

/** Never called: what the compiler must refuse. */
export function refusedByTheCompiler(): void {
  const { placeOrder, tail } = contractsAt('x');
  class Wrong {
    // @ts-expect-error -- the answer lacks its id
    @subscriber(placeOrder)
    place(_order: z.infer<typeof Order>) {
      return { number: 1 };
    }

    // @ts-expect-error -- the parameter is no order
    @subscriber(placeOrder)
    other(_order: { sku: number }) {
      return { id: 'x' };
    }

    // @ts-expect-error -- a stream answers with an async iterable
    @subscriber(tail)
    lines(_count: number) {
      return 'line';
    }
  }
  void Wrong;
  // @ts-expect-error -- no such error
  placeOrder.error('NO_SUCH_CODE', {});
  // @ts-expect-error -- its data is { left: number }
  placeOrder.error('OUT_OF_STOCK', { right: 1 });
}
