import { RedstartError, messageOf } from '../errors.ts';
import { unixTime } from '../internal/clock.ts';
import type { Codec } from '../message/codec.ts';
import { openFrame, type MessageFormat } from '../message/format.ts';
import * as names from '../message/headers.ts';
import { CALL_KEY, ReceivedMessage, REPLY_KIND_KEY } from '../message/message.ts';
import { kindOf, type Kind, type Target } from '../transport/address.ts';
import type { Delivery } from '../transport/source.ts';
import type { StreamFields } from '../transport/transport.ts';

// A dead letter is the message as it came, body and headers, with headers that say what happened:
// which error, how many deliveries, where it came from. Both directions stand on this page.

/** Characters of an error's text in a header. */
const MAX_ERROR = 2_000;

/** Headers of a call under way, which mean nothing once its caller is gone. */
const OF_A_CALL = new Set<string>([
  ...[names.REPLY_TO, names.REPLY_KIND, names.CALL, names.DEADLINE, names.AGAIN],
  ...[names.WINDOW, names.GATHER, names.FROM, names.NAME, names.STATUS, names.SEQUENCE],
]);

/** Headers that say how a message died; the others are its own. */
const OF_A_DEATH = new Set<string>([
  ...[names.ERROR, names.ERROR_CODE, names.DELIVERIES, names.ORIGIN, names.ORIGIN_ID],
  ...[names.ORIGIN_GROUP, names.ORIGIN_FORM, names.ORIGIN_REPLY_TO, names.DIED_AT],
]);

/** One message that was rejected or given up. */
export interface DeadLetter {
  /** The dead letter's own id where it is in a stream; its place, from 0, in a list. */
  readonly id: string;
  /** Decoded by content type; the bytes as they are where that fails. */
  readonly body: unknown;
  /** The message's own headers. */
  readonly headers: names.Headers;
  /** Name and message of the error; undefined for an entry that is no dead letter of redstart. */
  readonly error: string | undefined;
  readonly errorCode: string | undefined;
  /** How often it was delivered before it was given up. */
  readonly deliveries: number;
  /** Where it came from. */
  readonly origin: { readonly stream: string } | { readonly list: string } | undefined;
  /** Its id there, if that was a stream, and the group that gave it up. */
  readonly originId: string | undefined;
  readonly group: string | undefined;
  readonly diedAt: Date | undefined;
}

/** The frame of a dead letter. */
export function encodeLetter(
  message: ReceivedMessage,
  delivery: Delivery,
  error: unknown,
  group: string | undefined,
  format: MessageFormat,
): Uint8Array {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (!OF_A_CALL.has(name)) headers[name] = value;
  }
  headers[names.ERROR] = describeError(error).slice(0, MAX_ERROR);
  if (error instanceof RedstartError) headers[names.ERROR_CODE] = error.code;
  headers[names.DELIVERIES] = String(delivery.count);
  headers[names.ORIGIN] = originText(message);
  if (message.id !== undefined) headers[names.ORIGIN_ID] = message.id;
  if (group !== undefined) headers[names.ORIGIN_GROUP] = group;
  const form = formOf(message, delivery);
  if (form !== undefined) headers[names.ORIGIN_FORM] = form;
  // A plain publish's `replyTo` is part of the message; a call's inbox is not.
  if (message.replyTo !== undefined && message.header(CALL_KEY) === undefined) {
    const kind = message.header(REPLY_KIND_KEY) ?? 'channel';
    headers[names.ORIGIN_REPLY_TO] = placeText(kind, message.replyTo);
  }
  headers[names.DIED_AT] = String(unixTime());
  // The fields of a foreign stream entry are carried as JSON.
  const body = form === 'fields' ? message.raw : message.payload;
  return format.encode({ headers, body });
}

/** A dead letter as users see it. */
export function decodeLetter(delivery: Delivery, codec: Codec, format: MessageFormat): DeadLetter {
  const message = open(delivery, format);
  const header = (name: string): string | undefined => message.headers[name];
  const origin = placeIn(header(names.ORIGIN));
  const diedAt = header(names.DIED_AT);
  return {
    id: delivery.id as string,
    body: bodyIn(message, codec),
    headers: ownHeaders(message),
    error: header(names.ERROR),
    errorCode: header(names.ERROR_CODE),
    deliveries: Number(header(names.DELIVERIES) ?? 0),
    origin:
      origin === undefined
        ? undefined
        : origin.kind === 'stream'
          ? { stream: origin.name }
          : { list: origin.name },
    originId: header(names.ORIGIN_ID),
    group: header(names.ORIGIN_GROUP),
    diedAt: diedAt === undefined ? undefined : new Date(Number(diedAt)),
  };
}

/** What was sent at first and where: the frame without the headers of its death, or the bytes or fields that came instead of a frame. */
export function originalOf(
  delivery: Delivery,
  format: MessageFormat,
): { readonly to: Target; readonly frame: Uint8Array | StreamFields } | undefined {
  const message = open(delivery, format);
  const to = placeIn(message.headers[names.ORIGIN]);
  if (to === undefined) return undefined;
  const form = message.headers[names.ORIGIN_FORM];
  if (form === 'raw') return { to, frame: message.payload };
  if (form === 'fields') return { to, frame: fieldsIn(message.payload) };
  const headers: Record<string, string> = { ...ownHeaders(message) };
  const replyTo = placeIn(message.headers[names.ORIGIN_REPLY_TO]);
  if (replyTo !== undefined) {
    headers[names.REPLY_TO] = replyTo.name;
    if (replyTo.kind !== 'channel') headers[names.REPLY_KIND] = replyTo.kind;
  }
  return { to, frame: format.encode({ headers, body: message.payload }) };
}

function open({ frame }: Delivery, format: MessageFormat): ReceivedMessage {
  const bytes = Buffer.isBuffer(frame) ? frame : Buffer.concat([...frame]);
  return new ReceivedMessage(bytes, openFrame(bytes, format), { channel: '' });
}

function bodyIn(message: ReceivedMessage, codec: Codec): unknown {
  try {
    return codec.decode(message.payload, message.contentType);
  } catch {
    return message.payload; // a body that cannot be decoded may be why it died
  }
}

function ownHeaders(message: ReceivedMessage): names.Headers {
  const own = Object.entries(message.headers).filter(([name]) => !OF_A_DEATH.has(name));
  return Object.fromEntries(own);
}

/** How a message came that was no frame: raw bytes, or the fields of a stream entry. */
function formOf(message: ReceivedMessage, { frame }: Delivery): 'raw' | 'fields' | undefined {
  if (!Buffer.isBuffer(frame)) return 'fields';
  const { body, headers } = message.frame;
  return body === 0 && headers === undefined ? 'raw' : undefined;
}

/** `stream orders` */
function placeText(kind: string, name: string): string {
  return `${kind} ${name}`;
}

function originText({ source }: ReceivedMessage): string {
  if ('stream' in source) return placeText('stream', source.stream);
  return 'list' in source ? placeText('list', source.list) : placeText('channel', source.channel);
}

/** The place in `stream orders`; undefined for a text that names none. */
function placeIn(text: string | undefined): { kind: Kind; name: string } | undefined {
  const blank = text?.indexOf(' ') ?? -1;
  const kind = kindOf(text?.slice(0, blank));
  if (text === undefined || blank <= 0 || kind === undefined) return undefined;
  return { kind, name: text.slice(blank + 1) };
}

/** Fields and values of a stream entry, out of their JSON. */
function fieldsIn(json: Buffer): Uint8Array[] {
  const fields = JSON.parse(json.toString()) as Record<string, string | { data: number[] }>;
  return Object.entries(fields).flatMap(([name, value]) => [
    Buffer.from(name),
    typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.data),
  ]);
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : messageOf(error);
}
