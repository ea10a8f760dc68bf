import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** The ids that are left of the last random bytes. One call of the random generator makes 512. */
let pool = '';
let used = 0;

/**
 * An id of 16 characters, 96 random bits: unique across processes, and not to be guessed from any
 * number of others.
 */
export function uniqueId(): string {
  if (used === pool.length) {
    pool = randomBytes(12 * 512).toString('base64url');
    used = 0;
  }
  return pool.slice(used, (used += 16));
}

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
