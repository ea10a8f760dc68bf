import { fromType, SetupError, subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { takeLogs } from '../support/logs.ts';
import { ask, decoratorCases, newMemoryBroker } from './cases.ts';

decoratorCases('legacy');

// The compiler of these tests emits the types of parameters, in this dialect alone.
class Order {
  static readonly schema = z.object({ sku: z.string() });
  declare readonly sku: string;
}
class Unknown {
  declare readonly sku: string;
}

class Typed {
  @subscriber({ channel: 'order', schema: fromType })
  order(body: Order): string {
    return body.sku;
  }
  @subscriber({ channel: 'count', schema: fromType })
  count(body: number): number {
    return body;
  }
}

it('take the schema from the type with fromType', async () => {
  const broker = newMemoryBroker();
  broker.register(new Typed());
  await broker.start();
  expect(await ask(broker, 'order', { sku: 'A-1', more: 1 })).toBe('A-1');
  await expect(ask(broker, 'order', { sku: 1 })).rejects.toMatchObject({
    code: 'INVALID_MESSAGE',
    issues: [{ path: ['sku'] }],
  });
  expect(await ask(broker, 'count', 3)).toBe(3);
  await expect(ask(broker, 'count', 'three')).rejects.toMatchObject({
    code: 'INVALID_MESSAGE',
  });
  expect(takeLogs()).toHaveLength(2);
});

it('refuse fromType on a type that has no schema', () => {
  class Wrong {
    @subscriber({ channel: 'x', schema: fromType })
    there(body: Unknown): string {
      return body.sku;
    }
  }
  expect(() => newMemoryBroker().register(new Wrong())).toThrow(SetupError);
  expect(() => newMemoryBroker().register(new Wrong())).toThrow(/Wrong\.there.*Unknown/);
});
