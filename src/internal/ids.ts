import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A random string of letters and digits; 12 characters carry 71 bits. */
export function randomId(length: number): string {
  let id = '';
  while (id.length < length) {
    // 248 is the largest multiple of 62 in a byte. With larger bytes, some characters would be more likely.
    for (const byte of randomBytes(length)) {
      if (byte < 248 && id.length < length) id += ALPHABET[byte % 62];
    }
  }
  return id;
}
