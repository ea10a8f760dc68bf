// Handles a list and a stream group slowly, fetching ahead, until SIGTERM tells it to stop.
// argv: url, prefix, milliseconds that a handler takes
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { LEAVING } from '../../support/timings.ts';

const [url = '', prefix = '', takes = ''] = process.argv.slice(2);

async function main(): Promise<void> {
  const broker = new RedisBroker(url, { logger: false, [timingsOption]: LEAVING } as BrokerOptions);
  const handle = (what: string) => async (body: unknown) => {
    await broker.client.rpush(`${prefix}:started:${what}`, String(body));
    await new Promise((resolve) => setTimeout(resolve, Number(takes)));
    await broker.client.rpush(`${prefix}:handled:${what}`, String(body));
  };
  const load = { concurrency: 4, maxRecords: 64 };
  broker.subscriber({ list: `${prefix}:list`, ...load }, handle('list'));
  broker.subscriber({ stream: `${prefix}:group`, group: 'g', ...load }, handle('group'));
  await broker.start();
  process.once('SIGTERM', () => {
    process.send?.('told');
    void broker.stop().then(() => process.disconnect());
  });
  process.send?.('ready');
}

main().catch((error: unknown) => process.send?.({ error: String(error) }));
