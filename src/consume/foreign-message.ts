import { isUtf8 } from 'node:buffer';
import { rawFrame } from '../message/format.ts';
import { ReceivedMessage, type MessageSource } from '../message/message.ts';

/** A field or a value of a stream entry: text where it is text, else its bytes. */
export type Field = string | Buffer;

export function textOrBytes(field: Buffer): Field {
  return isUtf8(field) ? field.toString() : field;
}

/** The fields and values of an entry, in turn, as an object: of a name that is there twice, the last value. */
export function fieldsAsObject(fields: readonly Buffer[]): Record<string, Field> {
  const values: [string, Field][] = [];
  for (let i = 0; i + 1 < fields.length; i += 2)
    values.push([String(fields[i]), textOrBytes(fields[i + 1] as Buffer)]);
  return Object.fromEntries(values);
}

/** An entry that somebody else wrote to a stream: its fields as an object. */
export function foreignMessage(
  fields: readonly Buffer[],
  source: MessageSource,
  id: string | undefined,
  count: number,
): ReceivedMessage {
  const body = fieldsAsObject(fields);
  const raw = Buffer.from(JSON.stringify(body));
  const message = new ReceivedMessage(raw, rawFrame(raw), source, id, count);
  message.body = body;
  return message;
}
