// One service with everything in it that an AsyncAPI document can tell of.
import { RedisBroker, RedisRouter, event, publisher, rpc, subscriber } from 'redstart';
import { z } from 'zod';

const Order = z
  .object({ sku: z.string(), quantity: z.number().int().positive().default(1) })
  .meta({ id: 'Order', title: 'An order', description: 'What a customer wants.' });

interface Node {
  name: string;
  children: Node[];
}
const Tree: z.ZodType<Node> = z.object({
  name: z.string(),
  get children(): z.ZodArray<z.ZodType<Node>> {
    return z.array(Tree);
  },
});

export const place = rpc(
  { list: 'orders', reliable: true, title: 'Place an order', description: 'Takes one order.' },
  {
    request: Order,
    reply: z.object({ id: z.string(), order: Order }),
    errors: {
      SOLD_OUT: z.object({ left: z.number() }),
      UNKNOWN_SKU: z.undefined(),
    },
  },
);

const rows = rpc('rows', {
  request: z.object({ from: z.number() }),
  reply: z.array(z.string()),
  many: true,
});

const placed = event({ stream: 'placed', maxlen: 1_000 }, { schema: z.object({ id: z.string() }) });

/** JSON Schema has no word for it. */
const Dated = z.object({ at: z.date() });

/** Of another service. */
const stock = rpc('stock.levels', {
  request: z.string(),
  reply: z.number(),
  errors: { CLOSED: z.object({ until: z.string() }) },
});

class Shop {
  @subscriber(place)
  place(order: z.infer<typeof Order>): { id: string; order: z.infer<typeof Order> } {
    return { id: 'o-1', order };
  }

  @subscriber(rows)
  async *rows({ from }: { from: number }): AsyncGenerator<string[]> {
    yield [String(from)];
  }

  @subscriber({ channel: 'rooms.{room}', title: 'Readings', description: 'Of all rooms.' })
  @publisher('alarms')
  read(body: unknown): unknown {
    return body;
  }

  @subscriber({ stream: 'placed', group: 'mail', retry: { maxDeliveries: 3, backoff: 100 } })
  mail(): void {}

  @subscriber({ stream: 'placed', group: 'audit', batch: true, maxRecords: 10, noReply: true })
  audit(): void {}

  @subscriber({ list: 'orders{eu}', schema: Tree, concurrency: 5 })
  europe(tree: Node): Node {
    return tree;
  }

  @subscriber({ channel: 'everything.*', pattern: true, noReply: true })
  all(): void {}

  @subscriber({ channel: 'shards', sharded: true, errorPolicy: 'hide' })
  shard(): void {}
}

/** The same name as the channel `rows`, and a name that no key can hold. */
const router = new RedisRouter({ prefix: 'inner/' });
router.subscriber(
  { list: 'rows', filter: () => true, schema: z.object({ kind: z.literal('a') }) },
  () => 1,
);
router.subscriber({ list: 'rows', schema: z.object({ kind: z.literal('b') }) }, () => 2);
router.publisher({ channel: 'reports' }, { title: 'Report', replyTo: { list: 'receipts' } });

export const broker = new RedisBroker('memory://', { prefix: 'shop:', logger: false });
broker.register(new Shop());
broker.include(router);
broker.publisher(placed);
broker.publisher({ stream: 'history', maxlen: 100 }, { title: 'Keep', schema: Dated });
broker.publisher('alarms');
broker.publisher('rooms.{room}');
// Templates that nothing here receives, and braces that belong to a name.
broker.publisher('doors.{house}.{door}', { title: 'Door', replyTo: { list: 'keys' } });
broker.publisher('lamps.{house}', { pattern: false });
broker.clientFor({ place, stock });
