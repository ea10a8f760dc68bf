// One consumer of a stream group: says each body that it handles, and is killed or told to end.
// argv: url, address (JSON), what its handler does: 'work', 'slow' (ms in the body), 'die'
import { RedisBroker, type StreamSubscription, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { LEAVING } from '../../support/timings.ts';

const [url = '', address = '', how = ''] = process.argv.slice(2);
const say = (what: object): void => void process.send?.(what);

async function main(): Promise<void> {
  const broker = new RedisBroker(url, { logger: false, [timingsOption]: LEAVING } as BrokerOptions);
  const where = JSON.parse(address) as StreamSubscription;
  broker.subscriber(where, async (body: unknown, ctx) => {
    say({ began: body, count: ctx.message.deliveryCount });
    if (how === 'die') process.kill(process.pid, 'SIGKILL');
    if (how === 'slow') await new Promise((resolve) => setTimeout(resolve, Number(body)));
    say({ handled: body });
  });
  await broker.start();
  process.once('SIGTERM', () => {
    void broker.stop().then(() => process.disconnect());
  });
  say({ ready: true });
}

void main();
