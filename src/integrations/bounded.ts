/** Different values that one label may have. */
const MAX_VALUES = 100;

/** Characters of a label's value at most. */
const MAX_LENGTH = 200;

/** The values that one label has had. Past {@link MAX_VALUES} of them every new value is `rest`, so that a label cannot grow without end. */
export class Bounded {
  readonly #rest: string;
  readonly #known = new Set<string>();

  constructor(rest: string) {
    this.#rest = rest;
  }

  /** Whether a new value would be `rest`. */
  get isFull(): boolean {
    return this.#known.size >= MAX_VALUES;
  }

  of(value: string): string {
    const text = value.length > MAX_LENGTH ? value.slice(0, MAX_LENGTH) : value;
    if (this.#known.has(text)) return text;
    if (this.isFull) return this.#rest;
    this.#known.add(text);
    return text;
  }
}

/** What an error is called in labels and attributes: its `code` (redstart's, Node's), else the name of its class. */
export function errorType(error: unknown): string {
  try {
    if (typeof error !== 'object' || error === null) return typeof error;
    const { code, name } = error as { code?: unknown; name?: unknown };
    if (typeof code === 'string' && code !== '') return code;
    return typeof name === 'string' && name !== '' ? name : 'Error';
  } catch {
    return 'Error'; // a getter or a proxy that throws
  }
}
