/** What JSON.stringify would turn into something else without an error. */

/** A part of a value that JSON cannot carry, and where it is. */
interface Misfit {
  readonly value: object;
  /** `a.tags.0`; empty for the value itself. */
  readonly path: string;
}

/** Objects that are not called `Object` and have a JSON of their own: what is in them is written. */
const WRITTEN = new Set(['Object', 'Array', 'Arguments', 'Number', 'String', 'Boolean', 'Module']);

/**
 * Finds what `json`, the JSON of `value`, has lost: a Map, a Set, bytes and others are written as `{}`,
 * typed arrays as an object of digits. Only a text that has one of the two in it is looked through:
 * nearly all have not, and then this is a search in a string.
 */
export function findMisfit(value: unknown, json: string): Misfit | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (isMisfit(value)) return { value, path: '' };
  if (!json.includes('{}') && !json.includes('{"0":')) return undefined;
  const waiting: Misfit[] = [{ value, path: '' }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    // What an object says of itself is its own affair.
    if (hasJson(next.value)) continue;
    if (isMisfit(next.value) || isEmptied(next.value)) return next;
    for (const [key, part] of Object.entries(next.value) as [string, unknown][]) {
      if (typeof part === 'object' && part !== null)
        waiting.push({ value: part, path: next.path === '' ? key : `${next.path}.${key}` });
    }
  }
  return undefined;
}

function hasJson(value: object): boolean {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function';
}

function isMisfit(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null || Array.isArray(value)) return false;
  if (hasJson(value)) return false;
  const name = classOf(value);
  if (WRITTEN.has(name)) return false;
  // The fields of any other object are written, also those of an Error.
  return ArrayBuffer.isView(value) || Object.keys(value).length === 0;
}

/** Whether nothing is left of an object: JSON passes over functions and symbols, and leaves `{}`. */
function isEmptied(value: object): boolean {
  if (Array.isArray(value)) return false;
  const parts = Object.values(value) as unknown[];
  return parts.some(isUnwritten) && parts.every((part) => part === undefined || isUnwritten(part));
}

function isUnwritten(value: unknown): boolean {
  return typeof value === 'function' || typeof value === 'symbol';
}

/** `Map`, `Blob`, `Error`: what the object says that it is, whichever realm it comes from. */
function classOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** What to send instead of a value that JSON cannot carry. */
const INSTEAD: Readonly<Record<string, string>> = {
  Map: 'send Object.fromEntries(map) or [...map]',
  Set: 'send [...set]',
  Promise: 'await it first',
  Response:
    'send its text or its bytes; for an answer with headers, return the Response that redstart exports',
  Request: 'send its text or its bytes',
  Headers: 'send Object.fromEntries(headers)',
  FormData: 'send Object.fromEntries(form)',
  URLSearchParams: 'send its text, String(params)',
  Blob: 'send its bytes, Buffer.from(await blob.arrayBuffer())',
  File: 'send its bytes, Buffer.from(await file.arrayBuffer())',
  ArrayBuffer: 'send its bytes, Buffer.from(buffer)',
  SharedArrayBuffer: 'send its bytes, Buffer.from(buffer)',
  RegExp: 'send its text, String(expression)',
  Error: 'throw it, or send what matters of it, such as { message }',
};

/** `a Set at 'a.tags' cannot be sent as JSON: send [...set]` */
export function describeMisfit({ value, path }: Misfit): string {
  const name = classOf(value);
  const isBytes = ArrayBuffer.isView(value);
  const bytes = 'send its bytes, Buffer.from(view.buffer, view.byteOffset, view.byteLength)';
  const numbers = name === 'DataView' ? '' : ', or its numbers, [...array]';
  const instead = isBytes ? bytes + numbers : INSTEAD[name];
  const article = /^[AEIO]/.test(name) ? 'an' : 'a';
  const where = path === '' ? '' : ` at '${path}'`;
  if (!isBytes && isEmptied(value))
    return `an object of functions${where} cannot be sent as JSON: send what they return`;
  const advice = instead ?? 'send a plain object, or give it a method toJSON()';
  return `${article} ${name}${where} cannot be sent as JSON: ${advice}`;
}

/**
 * A string of JSON, or one of the numbers that JSON has no word for and Python writes all the same. A
 * string without an end is taken to the end of the text, or each quote in it would be tried anew.
 */
const STRING_OR_WORD = /"(?:[^"\\]|\\[^])*(?:"|\\?$)|-?Infinity|NaN/g;

/** The name of the one field of an object that stands for NaN while JSON is parsed. No body has it by chance. */
const NAN = `NaN ${Math.random()}`;

/**
 * Parses JSON, also with the words NaN, Infinity and -Infinity, which Python's json writes and reads
 * unless it is told not to. Throws the parser's error for anything else.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (!text.includes('NaN') && !text.includes('Infinity')) throw error;
    return parseWithWords(text);
  }
}

function parseWithWords(text: string): unknown {
  let hasNaN = false;
  // The blanks keep a word apart from a number beside it, which is an error.
  const plain = text.replaceAll(STRING_OR_WORD, (found) => {
    if (found.startsWith('"')) return found;
    // Beyond the largest number, which JavaScript reads as infinity.
    if (found !== 'NaN') return found === 'Infinity' ? ' 1e999 ' : ' -1e999 ';
    hasNaN = true;
    return `{"${NAN}":0}`;
  });
  if (!hasNaN) return JSON.parse(plain) as unknown;
  return JSON.parse(plain, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && NAN in value ? NaN : value,
  ) as unknown;
}
