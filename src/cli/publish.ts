import { command, wholeNumber } from './command.ts';
import {
  HEADER_OPTION,
  IDENTITY_OPTIONS,
  JSON_OPTION,
  KIND_OPTIONS,
  PREFIX_OPTION,
  URL_OPTION,
  bodyOf,
  destination,
  headersOf,
  withBroker,
} from './connection.ts';
import { EXIT } from './failure.ts';
import { print } from './output.ts';

export const publish = command({
  name: 'publish',
  operands: ['<address>', '<json>'],
  summary: 'send a message',
  text: `Prints the number of receivers (channel), the length (list) or the id of the entry (stream).
With --delay, it prints the id for 'delayed cancel'. The body is JSON, or - for JSON from stdin.

  redstart publish prices '"A-1"'
  redstart publish orders '{"sku":"A-1"}' --list --header x-region=eu
  redstart publish orders '{"sku":"A-1"}' --list --id order-7 --delay 60000`,
  options: {
    ...KIND_OPTIONS,
    ...HEADER_OPTION,
    ...IDENTITY_OPTIONS,
    delay: { type: 'string', value: 'ms', text: 'send it after this time' },
    ...PREFIX_OPTION,
    ...JSON_OPTION,
    ...URL_OPTION,
  },
  async run([name = '', json = ''], { header, key, id, delay, url, prefix = '', ...kinds }) {
    const wait = wholeNumber(delay, 'delay');
    const to = {
      ...destination(name, kinds),
      headers: headersOf(header),
      ...(key !== undefined && { key }),
      ...(id !== undefined && { id }),
      ...(wait !== undefined && { delay: wait }),
    };
    const body = await bodyOf(json);
    print(
      await withBroker(url, (broker) => broker.publish(body, to as { channel: string }), {
        prefix,
      }),
    );
    return EXIT.ok;
  },
});
