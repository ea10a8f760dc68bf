import { RedstartError, messageOf } from '../errors.ts';
import { unixTime } from '../internal/clock.ts';
import { defaultCodec, type Codec } from '../message/codec.ts';
import {
  binaryFormat,
  encodedBy,
  openFrame,
  rawFrame,
  type MessageFormat,
} from '../message/format.ts';
import * as names from '../message/headers.ts';
import { CALL_KEY, ReceivedMessage, REPLY_KIND_KEY } from '../message/message.ts';
import { kindOf, type Kind, type Target } from '../transport/address.ts';
import type { Delivery } from '../transport/source.ts';
import type { StreamFields } from '../transport/transport.ts';
import { fieldsAsObject, textOrBytes, type Field } from './foreign-message.ts';

// A dead letter is the message as it came, body and headers, with headers that say what happened:
// which error, how many deliveries, where it came from. Its frame is always in the binary format,
// whatever the subscriber's, so that everybody can read it. Both directions stand on this page.

/** Characters of an error's text, and of its code, in a header. */
const MAX_ERROR = 2_000;
const MAX_CODE = 200;

/** The most bytes that the value of a header can have. */
const MAX_HEADER = 0xffff;

/** Headers of one delivery or of a call under way, which mean nothing later. */
const OF_A_DELIVERY = new Set<string>([
  ...[names.REPLY_TO, names.REPLY_KIND, names.CALL, names.DEADLINE, names.AGAIN, names.FOR],
  names.REDRIVEN,
  ...[
    names.WINDOW,
    names.WINDOW_BYTES,
    names.GATHER,
    names.FROM,
    names.NAME,
    names.STATUS,
    names.SEQUENCE,
  ],
]);

/** Headers that say how a message died; the others are its own. */
const OF_A_DEATH = new Set<string>([
  ...[names.ERROR, names.ERROR_CODE, names.DELIVERIES, names.ORIGIN, names.ORIGIN_ID],
  ...[names.ORIGIN_GROUP, names.ORIGIN_FORM, names.ORIGIN_FRAME, names.ORIGIN_REPLY_TO],
  names.DIED_AT,
]);

/** One message that was rejected or given up. */
export interface DeadLetter {
  /** In a stream, the id of the dead letter; in a list, its place, from 0. */
  readonly id: string;
  /** Decoded by content type; the bytes if that fails. */
  readonly body: unknown;
  /** The message's own headers. */
  readonly headers: names.Headers;
  /** Name and message of the error, as in `TypeError: x is not a function`; undefined for an entry that is not a dead letter of redstart. */
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

/** How a message died. */
export interface Death {
  readonly delivery: Delivery;
  readonly error: unknown;
  /** The group that gave it up; undefined for a list. */
  readonly group: string | undefined;
  /** In which the message came. */
  readonly format: MessageFormat;
}

/** The frame of a dead letter. There is one for every message: one whose headers do not fit beside the story is carried as raw bytes. */
export function encodeLetter(message: ReceivedMessage, death: Death): Uint8Array {
  const { delivery, group, format } = death;
  const { frame } = delivery;
  const story = storyOf(message, death);
  if (!Buffer.isBuffer(frame))
    return binaryFormat.encode({
      headers: { ...story, [names.ORIGIN_FORM]: 'fields' },
      body: Buffer.from(fieldsAsJson(frame)),
    });
  const raw = (): Uint8Array =>
    binaryFormat.encode({ headers: { ...story, [names.ORIGIN_FORM]: 'raw' }, body: frame });
  if (isRaw(message)) return raw();
  const headers = Object.create(null) as Record<string, string>;
  const own = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(message.headers)) {
    if (OF_A_DELIVERY.has(name)) continue;
    own[name] = value;
    // What a sender says of a death, such as that of this letter's contents, is no part of this story.
    const speaks = OF_A_DEATH.has(name) || name.startsWith(names.BEFORE);
    headers[speaks ? names.BEFORE + name : name] = value;
  }
  Object.assign(headers, story);
  // A plain publish's `replyTo` is part of the message; a call's inbox is not.
  if (message.replyTo !== undefined && message.header(CALL_KEY) === undefined) {
    const kind = message.header(REPLY_KIND_KEY) ?? 'channel';
    headers[names.ORIGIN_REPLY_TO] = placeText(kind, message.replyTo);
  }
  const body = message.payload;
  try {
    if (format === binaryFormat) return binaryFormat.encode({ headers, body });
    // Whoever sends it back need not know the format.
    addReply(own, headers[names.ORIGIN_REPLY_TO]);
    if (group !== undefined) own[names.FOR] = group;
    markRedriven(own);
    const back = Buffer.from(encodedBy(format, { headers: own, body })).toString('base64');
    if (back.length > MAX_HEADER) return raw();
    return binaryFormat.encode({ headers: { ...headers, [names.ORIGIN_FRAME]: back }, body });
  } catch {
    return raw(); // too many headers, or too long ones, or the user's format fails
  }
}

/** A dead letter as users see it. Never throws: what cannot be read is shown as the bytes that lie there. */
export function decodeLetter(delivery: Delivery, codecAt: (origin: Target) => Codec): DeadLetter {
  const message = open(delivery);
  const header = (name: string): string | undefined => message.headers[name];
  const origin = originIn(message);
  const diedAt = header(names.DIED_AT);
  return {
    id: delivery.id as string,
    body: bodyIn(message, origin === undefined ? defaultCodec : codecAt(origin)),
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

/**
 * What was sent at first and where: the frame without the headers of its death, or the bytes or fields
 * that came instead of a frame. A frame of a stream names the group that it is for. Undefined for what
 * is no dead letter.
 */
export function originalOf(
  delivery: Delivery,
): { readonly to: Target; readonly frame: Uint8Array | StreamFields } | undefined {
  const message = open(delivery);
  const to = originIn(message);
  if (to === undefined) return undefined;
  const header = (name: string): string | undefined => message.headers[name];
  const form = header(names.ORIGIN_FORM);
  if (form === 'raw') return { to, frame: message.payload };
  if (form === 'fields') {
    const fields = fieldsIn(message.payload);
    return fields === undefined || to.kind !== 'stream' ? undefined : { to, frame: fields };
  }
  const back = header(names.ORIGIN_FRAME);
  if (back !== undefined) return { to, frame: Buffer.from(back, 'base64') };
  const headers: Record<string, string> = { ...ownHeaders(message) };
  addReply(headers, header(names.ORIGIN_REPLY_TO));
  const group = header(names.ORIGIN_GROUP);
  if (group !== undefined) headers[names.FOR] = group;
  markRedriven(headers);
  return { to, frame: binaryFormat.encode({ headers, body: message.payload }) };
}

/** The headers that say what happened. */
function storyOf(
  message: ReceivedMessage,
  { delivery, error, group }: Death,
): Record<string, string> {
  const story: Record<string, string> = {
    [names.ERROR]: describeError(error).slice(0, MAX_ERROR),
    [names.DELIVERIES]: String(delivery.count),
    [names.ORIGIN]: originText(message),
    [names.DIED_AT]: String(unixTime()),
  };
  if (error instanceof RedstartError) story[names.ERROR_CODE] = error.code.slice(0, MAX_CODE);
  if (message.id !== undefined) story[names.ORIGIN_ID] = message.id;
  if (group !== undefined) story[names.ORIGIN_GROUP] = group;
  return story;
}

/** Anything may lie among dead letters: what is no frame, or a damaged one, is a body without headers. */
function open({ frame }: Delivery): ReceivedMessage {
  const bytes = Buffer.isBuffer(frame) ? frame : Buffer.concat([...frame]);
  try {
    return new ReceivedMessage(bytes, openFrame(bytes, binaryFormat), { channel: '' });
  } catch {
    return new ReceivedMessage(bytes, rawFrame(bytes), { channel: '' });
  }
}

function bodyIn(message: ReceivedMessage, codec: Codec): unknown {
  if (message.headers[names.ORIGIN_FORM] === 'fields') {
    const fields = fieldsIn(message.payload);
    if (fields !== undefined) return fieldsAsObject(fields);
  }
  try {
    return message.decode(codec);
  } catch {
    return message.payload; // a body that cannot be decoded may be why it died
  }
}

function ownHeaders(message: ReceivedMessage): names.Headers {
  const own: [string, string][] = [];
  for (const [name, value] of Object.entries(message.headers)) {
    if (OF_A_DEATH.has(name)) continue;
    own.push([name.startsWith(names.BEFORE) ? name.slice(names.BEFORE.length) : name, value]);
  }
  return Object.fromEntries(own);
}

function addReply(headers: Record<string, string>, place: string | undefined): void {
  const replyTo = placeIn(place);
  if (replyTo === undefined) return;
  headers[names.REPLY_TO] = replyTo.name;
  if (replyTo.kind !== 'channel') headers[names.REPLY_KIND] = replyTo.kind;
}

/** What is sent back begins another trace. One that is in no trace is sent back byte for byte. */
function markRedriven(headers: Record<string, string>): void {
  const matters = headers[names.TRACE] !== undefined || headers[names.MESSAGE_ID] !== undefined;
  if (matters) headers[names.REDRIVEN] = '1';
}

/** Whether a message came as bytes that are no frame. */
function isRaw({ frame: { body, headers } }: ReceivedMessage): boolean {
  return body === 0 && headers === undefined;
}

/** The list or stream that a letter came from. */
function originIn(message: ReceivedMessage): Target | undefined {
  const place = placeIn(message.headers[names.ORIGIN]);
  return place?.kind === 'channel' ? undefined : place;
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

/** Fields and values of a stream entry as JSON: an object where that keeps all of it, else an array of pairs. */
function fieldsAsJson(fields: readonly Buffer[]): string {
  const all = fields.map(textOrBytes);
  const pairs = Array.from({ length: all.length >> 1 }, (_, i) => [all[2 * i], all[2 * i + 1]]);
  const object = Object.fromEntries(pairs) as Record<string, Field>;
  // An object has each name once, as text, and numbers first.
  const kept = Object.keys(object);
  const isWhole = pairs.length === kept.length && pairs.every(([name], i) => name === kept[i]);
  return JSON.stringify(isWhole ? object : pairs);
}

/** Fields and values, in turn, out of {@link fieldsAsJson}; undefined for what is none. */
function fieldsIn(json: Buffer): Buffer[] | undefined {
  try {
    const found = JSON.parse(json.toString()) as object;
    const pairs: unknown[] = Array.isArray(found) ? found : Object.entries(found);
    return pairs.flat().map(bytesOf);
  } catch {
    return undefined;
  }
}

/** A field out of JSON: text, or bytes as `JSON.stringify` writes a Buffer. */
function bytesOf(field: unknown): Buffer {
  return typeof field === 'string'
    ? Buffer.from(field)
    : Buffer.from((field as { data: number[] }).data);
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : messageOf(error);
}
