import type { Headers } from '../../index.ts';

/** What stands in the place of a secret. */
const HIDDEN = '‹redacted›';

/** Names whose values are secret. */
const SECRET =
  /pass(?:word|wd|phrase|code)|^pwd$|secret|token|authori[sz]ation|(?:api|access|private|signing)[-_]?key|cookie|credential|session[-_]?id|^(?:cvv2?|cvc|pin|iban|ssn)$/i;

/** Secrets inside of texts: what to replace, and by what. */
const IN_TEXT: readonly (readonly [RegExp, string])[] = [
  // redis://user:password@host
  [/\b([a-z][a-z\d+.-]{0,30}:\/\/)[^\s/@]{1,500}@/gi, `$1${HIDDEN}@`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,4000}/gi, `$1 ${HIDDEN}`],
  // A JSON Web Token
  [/\beyJ[\w-]{4,4000}\.[\w-]{4,8000}\.[\w-]{4,4000}/g, HIDDEN],
  [
    /((?:password|passwd|pwd|secret|token|api[-_]?key|access[-_]?key)["']?\s{0,5}[:=]\s{0,5}["']?)[^\s"',;&}]{1,500}/gi,
    `$1${HIDDEN}`,
  ],
];

/** Characters of a body that are shown. */
const MAX_BODY = 32_768;

/** Characters of the value of a header. */
const MAX_HEADER = 2_000;

/** Levels of an object. */
const MAX_DEPTH = 40;

/** Values of one body. */
const MAX_VALUES = 20_000;

/** A message before it is shown. */
export interface ShownMessage {
  readonly headers: Headers;
  readonly body: unknown;
}

/** Hides more of a message, or other things. */
export type Redact = (message: ShownMessage) => ShownMessage;

/** Headers and body as texts for the page, without their secrets. Never throws: a message that cannot be redacted is hidden. */
export function shown(
  message: ShownMessage,
  redact: Redact | false | undefined,
  bodies: boolean,
): { headers: [string, string][]; body: string; isCut: boolean } {
  try {
    const less = redact === false ? message : withoutSecrets(message);
    const { headers, body } = typeof redact === 'function' ? redact(less) : less;
    const text = bodies ? textOf(body) : '‹bodies are not shown here›';
    return {
      headers: Object.entries(headers as Record<string, unknown>).map(([name, value]) => [
        name,
        String(value).slice(0, MAX_HEADER),
      ]),
      body: text.slice(0, MAX_BODY),
      isCut: text.length > MAX_BODY,
    };
  } catch {
    return {
      headers: [],
      body: '‹this message could not be redacted, so it is not shown›',
      isCut: false,
    };
  }
}

/** A text of outside, such as an error's, without the secrets that can be recognised. */
export function withoutSecretsIn(text: string): string {
  return IN_TEXT.reduce((less, [secret, instead]) => less.replaceAll(secret, instead), text);
}

function withoutSecrets({ headers, body }: ShownMessage): ShownMessage {
  const left = { values: MAX_VALUES };
  return {
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name,
        SECRET.test(name) ? HIDDEN : withoutSecretsIn(value),
      ]),
    ),
    body: redacted(body, left, 0),
  };
}

function redacted(value: unknown, left: { values: number }, depth: number): unknown {
  if (typeof value === 'string') return withoutSecretsIn(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH || left.values-- <= 0) return '‹…›';
  if (value instanceof Uint8Array) return withoutSecretsIn(textOf(value));
  if (Array.isArray(value)) return value.map((item) => redacted(item, left, depth + 1));
  if (value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      SECRET.test(key) && item !== null && item !== undefined
        ? HIDDEN
        : redacted(item, left, depth + 1),
    ]),
  );
}

/** A body as text: JSON for a value, the text itself for a text, text or hexadecimal for bytes. */
function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  if (body === undefined) return '‹no body›';
  if (body instanceof Uint8Array) {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const text = bytes.toString();
    const isText = Buffer.from(text).equals(bytes) && !/(?![\t\n\r])\p{Cc}/u.test(text);
    return isText ? text : `${bytes.length} bytes: ${bytes.subarray(0, 4_096).toString('hex')}`;
  }
  return (
    JSON.stringify(
      body,
      (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
      2,
    ) ?? String(body)
  );
}
