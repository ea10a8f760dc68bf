import type { StandardJSONSchemaV1 } from '@standard-schema/spec';
import type { Schema } from './schema.ts';

/** A JSON Schema as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The JSON Schema (draft-07) of what a schema takes: what is on the wire. Null where there is no
 * schema, where its library cannot make one, and where this schema has no JSON form.
 */
export function jsonSchemaOf(schema: Schema | undefined): JsonSchema | null {
  const standard = schema?.['~standard'] as Partial<StandardJSONSchemaV1.Props> | undefined;
  if (standard?.jsonSchema === undefined) return null;
  try {
    return standard.jsonSchema.input({ target: 'draft-07' });
  } catch {
    return null; // a Date, a function, a class: the library says so by throwing
  }
}
