// A process that reads a stream and a list, for the dashboard's test in a browser.
// argv: url, prefix
import { RedisBroker, type BrokerOptions } from 'redstart';
import { timingsOption } from '../../../src/transport/timings.ts';
import { PATIENT } from '../../support/timings.ts';

const [url = '', prefix = ''] = process.argv.slice(2);
const say = (what: object): void => void process.send?.(what);

async function main(): Promise<void> {
  const broker = new RedisBroker(url, {
    prefix,
    control: true,
    logger: false,
    [timingsOption]: PATIENT,
  } as BrokerOptions);
  let isWell = false;
  broker.subscriber(
    { stream: 'shipments', group: 'warehouse', retry: false },
    function ship({ parcel }: { parcel: number }) {
      if (isWell || parcel % 3 !== 0) return;
      if (parcel % 2 === 0) throw new TypeError(`no shelf for '${parcel}'`);
      throw new RangeError(`parcel ${parcel} is too large`);
    },
  );
  broker.subscriber({ list: 'orders' }, function place() {});
  broker.subscriber('recover', function recover() {
    isWell = true;
  });
  await broker.start();
  say({ ready: true });
}

main().catch((error: unknown) => say({ error: String(error) }));
