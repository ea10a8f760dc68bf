import { createHash } from 'node:crypto';
import { openFrame, type MessageFormat } from './format.ts';
import { ReceivedMessage } from './message.ts';

/** Characters of a digest: 132 bits. */
export const DIGEST_LENGTH = 22;

/** What two messages with one id are compared by: a hash of content type and body, without the headers. */
export function digestOf(message: ReceivedMessage): string {
  const hash = createHash('sha256').update(`${message.contentType ?? ''}\n`);
  return hash.update(message.payload).digest('base64url').slice(0, DIGEST_LENGTH);
}

/** The same for a frame that is being sent. */
export function digestOfFrame(frame: Uint8Array, format: MessageFormat): string {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  return digestOf(new ReceivedMessage(bytes, openFrame(bytes, format), { channel: '' }));
}
