// One process that sends what is due, and takes its turn of a repeated message. argv: url, period of the series in ms (0: none)
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { PATIENT } from '../../support/timings.ts';

const [url = '', period = '0'] = process.argv.slice(2);

async function main(): Promise<void> {
  const broker = new RedisBroker(url, { logger: false, [timingsOption]: PATIENT } as BrokerOptions);
  if (period !== '0') broker.every(Number(period), { id: 'tick', stream: 'ticks', body: 1 });
  await broker.start();
  process.send?.({ ready: true });
}

void main();
