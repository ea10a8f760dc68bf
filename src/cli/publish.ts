import { command } from './command.ts';
import {
  HEADER_OPTION,
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
The body is JSON, or - for JSON from stdin.

  redstart publish prices '"A-1"'
  redstart publish orders '{"sku":"A-1"}' --list --header x-region=eu`,
  options: { ...KIND_OPTIONS, ...HEADER_OPTION, ...PREFIX_OPTION, ...URL_OPTION },
  async run([name = '', json = ''], { header, url, prefix = '', ...kinds }) {
    const to = { ...destination(name, kinds), headers: headersOf(header) };
    const body = await bodyOf(json);
    print(
      await withBroker(url, (broker) => broker.publish(body, to as { channel: string }), {
        prefix,
      }),
    );
    return EXIT.ok;
  },
});
