import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisBroker, binaryFormat, defaultCodec } from '../index.ts';
import { command, wholeNumber } from './command.ts';
import {
  JSON_OPTION,
  KIND_OPTIONS,
  PREFIX_OPTION,
  URL_OPTION,
  destination,
  withBroker,
} from './connection.ts';
import { EXIT, NotThereError, UsageError } from './failure.ts';
import { interrupted } from './http.ts';
import { print } from './output.ts';
import { kindAt } from './places.ts';

type Client = RedisBroker['client'];

/** What decodes, imported when it is needed. */
interface Library {
  readonly binaryFormat: typeof binaryFormat;
  readonly defaultCodec: typeof defaultCodec;
}

const DEFAULT_COUNT = 10;

/** Entries read in one round trip. */
const PAGE = 100;

/** Milliseconds between two updates at a stream that is followed. */
const PAUSE = 250;

export const peek = command({
  name: 'peek',
  operands: ['<address>'],
  summary: 'print messages of a stream or list without taking them',
  text: `Prints one line of JSON for each, decoded, the oldest first: the last of a stream, the first of a
list. Nothing is taken, acknowledged or moved. --follow also prints what comes, of a stream or a
channel, until Ctrl+C. Exit code 1: it does not exist.

  redstart peek orders --count 3
  redstart peek prices --channel --follow`,
  options: {
    count: {
      type: 'string',
      value: 'n',
      text: `the largest number to print (default: ${DEFAULT_COUNT})`,
    },
    follow: { type: 'boolean', short: 'f', text: 'continue with new messages' },
    ...KIND_OPTIONS,
    channel: { type: 'boolean', text: 'the address is a channel: needs --follow' },
    list: { type: 'boolean', text: 'the address is a list (default: what is there)' },
    stream: { type: 'boolean', text: 'the address is a stream (default: what is there)' },
    ...PREFIX_OPTION,
    ...JSON_OPTION,
    ...URL_OPTION,
  },
  run: ([name = ''], { count, follow = false, prefix = '', url, json: _json, ...kinds }) => {
    const max = wholeNumber(count, 'count') ?? DEFAULT_COUNT;
    const to = destination(name, kinds);
    if (kinds.channel === true && !follow)
      throw new UsageError(`peek: a channel keeps nothing: give --follow to see what comes`);
    if (kinds.list === true && follow)
      throw new UsageError(`peek: a list cannot be followed: what is taken at once is not seen`);
    return withBroker(
      url,
      async (broker) => {
        await broker.connect();
        const library = await import('../index.ts');
        if (kinds.channel === true) return followChannel(broker, to as { channel: string });
        const full = prefix + name;
        const kind = await kindAt(broker.client, full);
        const wanted = (['list', 'stream'] as const).find((one) => kinds[one] === true);
        if (kind === undefined || (wanted !== undefined && wanted !== kind))
          throw new NotThereError(`there is no ${wanted ?? 'list or stream'} '${full}'`);
        if (kind === 'list') {
          if (follow) throw new UsageError(`peek: '${full}' is a list, which cannot be followed`);
          const frames = await broker.client.lrangeBuffer(full, 0, max - 1);
          for (const [at, frame] of frames.entries()) print({ at, ...decoded(frame, library) });
          return EXIT.ok;
        }
        const last = await printLast(broker.client, full, max, library);
        if (follow) await followStream(broker.client, full, last, library);
        return EXIT.ok;
      },
      { prefix },
    );
  },
});

type Entry = [id: Buffer, fields: Buffer[]];

/** Prints the last entries, the oldest first, and resolves with the id of the newest. */
async function printLast(
  client: Client,
  stream: string,
  max: number,
  library: Library,
): Promise<string> {
  const entries = (await client.xrevrangeBuffer(
    stream,
    '+',
    '-',
    'COUNT',
    max,
  )) as unknown as Entry[];
  for (const entry of entries.toReversed()) printEntry(entry, library);
  return entries[0]?.[0].toString() ?? '0-0';
}

async function followStream(
  client: Client,
  stream: string,
  after: string,
  library: Library,
): Promise<void> {
  let last = after;
  let isOver = false;
  const over = interrupted().then(() => (isOver = true));
  while (!isOver) {
    const reply = await client.xrangeBuffer(stream, `(${last}`, '+', 'COUNT', PAGE);
    const entries = reply as unknown as Entry[];
    for (const entry of entries) printEntry(entry, library);
    last = entries.at(-1)?.[0].toString() ?? last;
    if (entries.length < PAGE) await Promise.race([over, sleep(PAUSE)]);
  }
}

async function followChannel(broker: RedisBroker, to: { channel: string }): Promise<number> {
  await using messages = await broker.subscribe(to);
  void interrupted().then(() => messages.close());
  for await (const { correlationId, headers, body } of messages) {
    const { correlation_id: _, ...rest } = headers;
    print(isBare(headers, body) ? rawOf(body) : { correlationId, headers: rest, body });
  }
  return EXIT.ok;
}

function printEntry([id, fields]: Entry, library: Library): void {
  const at = fields.findIndex((field, i) => i % 2 === 0 && field.toString() === '__data__');
  const frame = at < 0 ? undefined : fields[at + 1];
  if (frame !== undefined) return print({ id: id.toString(), ...decoded(frame, library) });
  const pairs = fields.flatMap((field, i) =>
    i % 2 === 0 ? [[field.toString(), fields[i + 1]?.toString()]] : [],
  );
  print({ id: id.toString(), fields: Object.fromEntries(pairs) as object });
}

/** Headers and body of a frame in the default format and codec; else its bytes. */
function decoded(bytes: Buffer, { binaryFormat, defaultCodec }: Library): object {
  try {
    const { headers, body } = binaryFormat.decode(bytes);
    const { correlation_id: correlationId, ...rest } = headers;
    const value = defaultCodec.decode(Buffer.from(body), headers['content-type']);
    return isBare(headers, value) ? rawOf(value) : { correlationId, headers: rest, body: value };
  } catch {
    return rawOf(bytes);
  }
}

/** Whether it is what another program has written without a frame. */
function isBare(headers: object, body: unknown): body is Buffer {
  return Object.keys(headers).length === 0 && Buffer.isBuffer(body);
}

/** As text where it is one. */
function rawOf(bytes: Buffer): { readonly raw: string | Buffer } {
  const text = bytes.toString();
  return { raw: Buffer.from(text).equals(bytes) ? text : bytes };
}
