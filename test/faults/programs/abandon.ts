// Makes a call or reads a stream, says so, and is killed by its parent.
// argv: url, 'call' or 'stream', destination (JSON), timeout ('null' for none)
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { PATIENT } from '../../support/timings.ts';

const [url = '', how = '', place = '', timeout = ''] = process.argv.slice(2);
const say = (what: object): void => void process.send?.(what);

async function main(): Promise<void> {
  const broker = new RedisBroker(url, { logger: false, [timingsOption]: PATIENT } as BrokerOptions);
  await broker.connect();
  const to = JSON.parse(place) as { channel: string };
  const limit = JSON.parse(timeout) as number | null;
  if (how === 'call') {
    const call = broker.publish('abandoned', { ...to, rpc: true, timeout: limit });
    say({ deadline: Date.now() + (limit ?? 0) });
    await call;
    return;
  }
  let read = 0;
  for await (const _ of broker.requestMany('abandoned', { ...to, timeout: limit, window: 16 })) {
    // Reads a little, then never again: the handler waits for room when this process is killed.
    if (++read === 100) say({ read });
    if (read === 100 && how === 'stalled-stream') await new Promise(() => {});
  }
}

main().catch((error: unknown) => say({ error: String(error) }));
