/** The text of an error without what differs from one message to the next: quoted texts, ids and numbers. */
export function general(error: string | undefined): string {
  if (error === undefined) return 'no dead letter of redstart';
  return error
    .replaceAll(/"[^"]*"|'[^']*'|`[^`]*`/g, '‹…›')
    .replaceAll(/\b[\da-f]{8}-[\da-f-]{27}\b/gi, '#')
    .replaceAll(/\b[\da-f]*\d[\da-f]{7,}\b/gi, '#')
    .replaceAll(/\d+(?:[.,]\d+)*/g, '#');
}
