// One consumer whose handler always fails, and says when its subscriber stops reading. It is killed by its parent.
// argv: url, address (JSON), how: 'throws', or milliseconds for ctx.nack; a divisor of the transports' times
import { RedisBroker, type StreamSubscription } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { missedSooner } from '../../support/timings.ts';

const [url = '', address = '', how = '', divisor = '1'] = process.argv.slice(2);
const say = (what: object): void => void process.send?.(what);

async function main(): Promise<void> {
  const logger = {
    debug() {},
    info() {},
    warn: (fields: object | string, text = '') => {
      const message = typeof fields === 'string' ? fields : text;
      if (message.includes('nothing is read')) say({ open: true });
    },
    error: (fields: object | string, text = '') => say({ error: `${String(fields)} ${text}` }),
  };
  const options = { logger, [timingsOption]: missedSooner(Number(divisor)) };
  const broker = new RedisBroker(url, options);
  broker.subscriber(JSON.parse(address) as StreamSubscription, async (body: unknown, ctx) => {
    say({ began: body, count: ctx.message.deliveryCount });
    if (how === 'throws') throw new Error('the database is away');
    await ctx.nack({ after: Number(how) });
  });
  await broker.start();
  say({ ready: true });
}

void main();
