// One long stream of answers to a reader that is slower than its producer, and what it costs.
// argv: url, items, window
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { PATIENT } from '../../support/timings.ts';

const [url = '', total = '', window = ''] = process.argv.slice(2);
const say = (what: object): void => void process.send?.(what);
const collectGarbage = (globalThis as { gc?: () => void }).gc as () => void;
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

async function main(): Promise<void> {
  const service = new RedisBroker(url, {
    logger: false,
    [timingsOption]: PATIENT,
  } as BrokerOptions);
  const caller = new RedisBroker(url, { logger: false, [timingsOption]: PATIENT } as BrokerOptions);
  const items = Number(total);
  let produced = 0;
  let finished = 0;
  service.subscriber('items', async function* () {
    try {
      while (produced < items) yield { n: ++produced, filling: 'x'.repeat(200) };
    } finally {
      finished++;
    }
  });
  await service.start();
  let read = 0;
  let lead = 0;
  let isInOrder = true;
  const heaps: number[] = [];
  const options = { channel: 'items', window: Number(window) };
  for await (const { n } of caller.requestMany<{ n: number }>('all', options)) {
    isInOrder &&= n === ++read;
    lead = Math.max(lead, produced - read);
    // Pauses long enough for the producer to run ahead as far as it may.
    if (read % 500 === 0) await pause();
    if (read % Math.floor(items / 10) === 0) {
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      heaps.push(heapUsed + external);
    }
  }
  say({ read, lead, isInOrder, finished, heaps, pending: caller.stats.pendingCalls });
  await caller.stop();
  await service.stop();
  process.disconnect();
}

main().catch((error: unknown) => say({ error: String(error) }));
