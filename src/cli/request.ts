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

export const request = command({
  name: 'request',
  operands: ['<address>', '<json>'],
  summary: 'call a handler and print its answer',
  text: `Prints the answer's body as JSON; bytes as {"base64":"…"}.
The body is JSON, or - for JSON from stdin. Exit codes: 1 the handler failed (stderr has its code),
3 no answer in time, or nobody is there.

  redstart request prices '"A-1"' --timeout 3000`,
  options: {
    ...KIND_OPTIONS,
    ...HEADER_OPTION,
    ...IDENTITY_OPTIONS,
    timeout: { type: 'string', value: 'ms', text: 'how long to wait (default: 30000)' },
    ...PREFIX_OPTION,
    ...JSON_OPTION,
    ...URL_OPTION,
  },
  async run([name = '', json = ''], { header, key, id, timeout, url, prefix = '', ...kinds }) {
    const to = {
      ...destination(name, kinds),
      headers: headersOf(header),
      ...(key !== undefined && { key }),
      ...(id !== undefined && { id }),
      timeout: wholeNumber(timeout, 'timeout') ?? 30_000,
    };
    const body = await bodyOf(json);
    const answer = await withBroker(
      url,
      (broker) => broker.request(body, to as { channel: string }),
      { prefix },
    );
    print(answer.body);
    return EXIT.ok;
  },
});
