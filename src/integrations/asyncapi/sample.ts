import type { JsonSchema } from '../../index.ts';

/** Schemas inside of schemas that are followed: what refers to itself would never end. */
const MAX_DEPTH = 6;

/** A value that is like what a schema takes, to begin with; null where nothing is known of it. */
export function sampleOf(
  schema: JsonSchema,
  components: Readonly<Record<string, JsonSchema>>,
  depth = 0,
): unknown {
  const { $ref, type, enum: values, examples, oneOf, anyOf, allOf, properties, items } = schema;
  if ('default' in schema) return schema['default'];
  if ('const' in schema) return schema['const'];
  if (Array.isArray(examples) && examples.length > 0) return examples[0];
  if (Array.isArray(values)) return values[0];
  if (depth > MAX_DEPTH) return null;
  const of = (one: unknown): unknown => sampleOf((one ?? {}) as JsonSchema, components, depth + 1);
  if (typeof $ref === 'string') return of(components[$ref.replace('#/components/schemas/', '')]);
  const choices = [oneOf, anyOf].find((one) => Array.isArray(one)) as unknown[] | undefined;
  if (choices !== undefined) return of(choices[0]);
  if (Array.isArray(allOf)) {
    const parts = allOf.map(of).filter((part) => typeof part === 'object' && part !== null);
    return Object.assign({}, ...parts) as object;
  }
  switch (Array.isArray(type) ? type[0] : (type ?? (properties === undefined ? '' : 'object'))) {
    case 'object':
      return Object.fromEntries(
        Object.entries(properties ?? {}).map(([key, one]) => [key, of(one)]),
      );
    case 'array':
      return typeof items === 'object' && !Array.isArray(items) && items !== null
        ? [of(items)]
        : [];
    case 'string':
      return 'text';
    case 'integer':
    case 'number':
      return numberIn(schema);
    case 'boolean':
      return true;
    default:
      return null;
  }
}

function numberIn({ minimum, exclusiveMinimum, maximum }: JsonSchema): number {
  if (typeof minimum === 'number') return minimum;
  if (typeof exclusiveMinimum === 'number') return Math.floor(exclusiveMinimum) + 1;
  return typeof maximum === 'number' ? Math.min(1, maximum) : 1;
}
