import type { JsonSchema } from '../../index.ts';
import type { Schemas } from './schemas.ts';

const TEXT = { type: 'string' };
const CORRELATION_ID = { type: 'string', description: 'The same on a message and its answer.' };
const CONTENT_TYPE = {
  type: 'string',
  description: 'application/json, text/plain, or missing for bytes and for an empty body.',
};

/** The schemas of headers: each is a component, made when a message first has it. */
export class Headers {
  readonly #schemas: Schemas;
  readonly #made = new Map<string, JsonSchema>();

  constructor(schemas: Schemas) {
    this.#schemas = schemas;
  }

  /** Of a message that nobody answers. */
  get message(): JsonSchema {
    return this.#one('redstart.MessageHeaders', { correlation_id: CORRELATION_ID });
  }

  /** Of a message that is answered where its sender says so. */
  get request(): JsonSchema {
    return this.#one('redstart.RequestHeaders', {
      correlation_id: CORRELATION_ID,
      reply_to: { type: 'string', description: 'Where the answer is to go; missing for none.' },
    });
  }

  /** Of an answer that is a value. */
  get answer(): JsonSchema {
    return this.#one(
      'redstart.AnswerHeaders',
      { correlation_id: CORRELATION_ID },
      { required: ['correlation_id'], not: { required: ['redstart-status'] } },
    );
  }

  /** Of an answer that is something else. */
  of(status: 'item' | 'end' | 'error'): JsonSchema {
    const name = `redstart.${status[0]?.toUpperCase()}${status.slice(1)}Headers`;
    const more = status === 'error' ? {} : { 'redstart-sequence': TEXT };
    return this.#one(
      name,
      { correlation_id: CORRELATION_ID, 'redstart-status': { const: status }, ...more },
      { required: ['correlation_id', 'redstart-status'] },
    );
  }

  #one(name: string, properties: object, rules: object = {}): JsonSchema {
    let made = this.#made.get(name);
    if (made === undefined) {
      const all = { ...properties, 'content-type': CONTENT_TYPE };
      made = this.#schemas.own(name, { type: 'object', properties: all, ...rules });
      this.#made.set(name, made);
    }
    return made;
  }
}

/** An error as it is sent. */
export const ERROR: JsonSchema = {
  type: 'object',
  required: ['name', 'message'],
  properties: { name: TEXT, message: TEXT, code: TEXT, data: {} },
};

/** A declared error: its code and the schema of its data. */
export function errorWith(code: string, data: JsonSchema): JsonSchema {
  return {
    type: 'object',
    required: ['name', 'message', 'code'],
    properties: { name: TEXT, message: TEXT, code: { const: code }, data },
  };
}
