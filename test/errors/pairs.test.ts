import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RedisBroker, RedisRouter, SetupError, event, rpc } from '../../src/index.ts';
import { REFUSED } from '../package/pairs.ts';

describe('what the compiler refuses of pairs of options is refused at run time, too', () => {
  const schema = z.any();
  const used = {
    broker: new RedisBroker('memory://pairs', { logger: false }),
    ...{ RedisBroker, RedisRouter, event, rpc, schema },
    asked: { request: schema, reply: schema },
    handle: () => 1,
  };
  // A decorator is read when its class is registered; by a broker's own function the options are the same.
  const statements = REFUSED.filter(
    ({ code, isLater }) => isLater !== true && !code.startsWith('subscriber('),
  );

  it.each(statements)('$code', async ({ code }) => {
    // oxlint-disable-next-line typescript/no-implied-eval -- it is text because the compilers must not accept it
    const run = new Function(...Object.keys(used), `return ${code}`);
    await expect(async () => (await run(...Object.values(used))) as unknown).rejects.toThrow(
      SetupError,
    );
  });
});
