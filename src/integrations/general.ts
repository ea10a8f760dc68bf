/**
 * A random text, such as an id of redstart or a nanoid: 16 or more letters and digits, with capital and small letters
 * and a digit. The name of an error, which a colon follows, may look like one.
 */
const RANDOM = /(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{16,}(?![\w:-])/g;

/** The text of an error without what differs from one message to the next: quoted texts, ids and numbers. */
export function general(error: string | undefined): string {
  if (error === undefined) return 'no dead letter of redstart';
  return error
    .replaceAll(/\(correlation id [^)]*\)/g, '(correlation id #)')
    .replaceAll(/"[^"]*"|'[^']*'|`[^`]*`/g, '‹…›')
    .replaceAll(RANDOM, '#')
    .replaceAll(/\b[\da-f]{8}-[\da-f-]{27}\b/gi, '#')
    .replaceAll(/\b[\da-f]*\d[\da-f]{7,}\b/gi, '#')
    .replaceAll(/\d+(?:[.,]\d+)*/g, '#');
}
