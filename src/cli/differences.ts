import { isDeepStrictEqual } from 'node:util';

/** Where two values of JSON differ, a line for each place: `channels/orders.list: new`. The order of keys means nothing. */
export function differences(before: unknown, now: unknown, at = ''): string[] {
  if (isDeepStrictEqual(before, now)) return [];
  if (!isObject(before) || !isObject(now))
    return [`${at === '' ? 'the document' : at}: ${shown(before)} is now ${shown(now)}`];
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((key) => {
    const place = at === '' ? key : `${at}/${key}`;
    if (!Object.hasOwn(before, key)) return [`${place}: new`];
    if (!Object.hasOwn(now, key)) return [`${place}: gone`];
    return differences(before[key], now[key], place);
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Short, and on one line. */
function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
