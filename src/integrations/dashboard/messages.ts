import { binaryFormat, defaultCodec, type Headers, type RedisBroker } from '../../index.ts';
import type { Place, Settings } from './options.ts';
import { shown } from './redact.ts';
import { Refusal } from './security.ts';
import type { Server } from './server.ts';
import { addressOf } from './state.ts';

/** Messages that are shown. */
const MAX_MESSAGES = 20;

/** Frames above this many bytes are not decoded. */
const MAX_FRAME = 4 * 2 ** 20;

/** The field of a stream's entry that holds the frame, as in FastStream. */
const DATA_FIELD = '__data__';

/** What lies in a list or stream, decoded and left where it is. */
export async function messagesIn(
  broker: RedisBroker,
  server: Server | undefined,
  place: Place,
  newest: boolean,
  settings: Settings,
): Promise<object> {
  const address = addressOf(place, broker.prefix);
  if (address === undefined) throw new Refusal(404, 'a channel keeps no messages');
  if (server === undefined) {
    // The oldest alone: it is the box of dead letters that reads here, of whatever lies there.
    const found = await broker.deadLetters(address).list({ count: MAX_MESSAGES });
    const messages = found.map(({ id, ...one }) => ({
      id,
      ...shown(one, settings.redact, settings.bodies),
    }));
    return { ...place, order: 'oldest', messages };
  }
  const found = await server.messages(place, newest, MAX_MESSAGES);
  return {
    ...place,
    order: newest ? 'newest' : 'oldest',
    messages: found.map(({ id, parts }) => {
      const { redact, bodies } = settings;
      const size = parts.reduce((sum, { length }) => sum + length, 0);
      return { id, size, ...shown(decoded(place, parts, size), redact, bodies) };
    }),
  };
}

function decoded(
  { kind }: Place,
  parts: readonly Buffer[],
  size: number,
): { headers: Headers; body: unknown } {
  if (size > MAX_FRAME) return { headers: {}, body: `‹${size} bytes: too large to be shown›` };
  const at =
    kind === 'list' ? 0 : parts.findIndex((part, i) => i % 2 === 0 && part.equals(FIELD)) + 1;
  // A stream's entry that holds no frame has fields of its own.
  if (kind === 'stream' && at === 0) return { headers: {}, body: fieldsOf(parts) };
  const frame = parts[at] as Buffer;
  let headers: Headers = {};
  let body: Uint8Array = frame;
  try {
    ({ headers, body } = binaryFormat.decode(frame));
  } catch {
    // bytes of another program, or in another format: as they are
  }
  try {
    const type = Object.entries(headers).find(
      ([name]) => name.toLowerCase() === 'content-type',
    )?.[1];
    return { headers, body: defaultCodec.decode(Buffer.from(body), type) };
  } catch {
    return { headers, body };
  }
}

const FIELD = Buffer.from(DATA_FIELD);

function fieldsOf(parts: readonly Buffer[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < parts.length; i += 2) fields[String(parts[i])] = String(parts[i + 1]);
  return fields;
}
