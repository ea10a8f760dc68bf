import type { JsonSchema } from '../../index.ts';
import { nameFrom, unused } from './names.ts';

/** Keywords whose value is data: a `$ref` in it is no reference. */
const DATA = new Set(['const', 'default', 'enum', 'examples']);

/** Keywords whose keys are names of the user's. */
const MAPS = new Set(['definitions', '$defs', 'dependencies', 'patternProperties', 'properties']);

/**
 * The schemas of a document. What a schema defines for itself (`definitions`, as of `.meta({ id })`)
 * moves to `components/schemas`, where two of the same content are one, and references follow.
 */
export class Schemas {
  readonly #components = new Map<string, JsonSchema>();
  /** The names that a name of the users' has been given, by content: the definition as it was written. */
  readonly #named = new Map<string, string>();

  /** Adds a schema of our own, and returns the reference to it. */
  own(name: string, schema: JsonSchema): JsonSchema {
    this.#components.set(name, schema);
    return referenceTo(name);
  }

  /**
   * The schema as it stands in the document; `{}`, which takes anything, for null. `name` is for one
   * that refers to itself, which has to be a component.
   */
  add(schema: JsonSchema | null, name: string): JsonSchema {
    if (schema === null) return {};
    const { $schema: _, $id: _id, definitions, $defs, ...root } = schema;
    const defined = { ...(definitions as object), ...($defs as object) };
    const names = new Map<string, string>();
    const whole = JSON.stringify(defined);
    for (const [id, definition] of Object.entries(defined)) {
      // Its own definitions are what it refers to: the same text with others is another schema.
      const content = JSON.stringify([id, definition, whole]);
      let component = this.#named.get(content);
      if (component === undefined) {
        component = unused(this.#components, nameFrom(id));
        this.#named.set(content, component);
        this.#components.set(component, {}); // keeps the name until all are known
      }
      names.set(id, component);
    }
    const isRecursive = refersToItself(root) || refersToItself(defined);
    const rootName = isRecursive ? this.#rootName(root, name, whole) : '';
    const rewrite = (reference: string): string => {
      const [, id, rest = ''] = /^#\/(?:definitions|\$defs)\/([^/]+)(.*)$/s.exec(reference) ?? [];
      const component = id === undefined ? undefined : names.get(unescaped(id));
      if (component !== undefined) return `#/components/schemas/${component}${rest}`;
      return reference.startsWith('#')
        ? `#/components/schemas/${rootName}${reference.slice(1)}`
        : reference;
    };
    for (const [id, definition] of Object.entries(defined))
      this.#components.set(names.get(id) as string, rewritten(definition as JsonSchema, rewrite));
    const written = rewritten(root, rewrite);
    if (!isRecursive) return written;
    this.#components.set(rootName, written);
    return referenceTo(rootName);
  }

  /** By name, sorted. */
  get components(): Readonly<Record<string, JsonSchema>> {
    return Object.fromEntries([...this.#components].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #rootName(root: JsonSchema, name: string, whole: string): string {
    const content = JSON.stringify([root, whole]);
    const known = this.#named.get(content);
    if (known !== undefined) return known;
    const component = unused(this.#components, name);
    this.#named.set(content, component);
    return component;
  }
}

function referenceTo(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

/** Whether there is a reference to the root or to a part of it, but its definitions. */
function refersToItself(schema: JsonSchema): boolean {
  let found = false;
  rewritten(schema, (reference) => {
    if (/^#(?!\/(?:definitions|\$defs)\/)/.test(reference)) found = true;
    return reference;
  });
  return found;
}

/** A copy with other references. */
function rewritten(schema: JsonSchema, rewrite: (reference: string) => string): JsonSchema {
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(copy);
    return typeof value === 'object' && value !== null
      ? rewritten(value as JsonSchema, rewrite)
      : value;
  };
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === '$ref' && typeof value === 'string') return [key, rewrite(value)];
      if (DATA.has(key)) return [key, value];
      if (!MAPS.has(key) || typeof value !== 'object' || value === null) return [key, copy(value)];
      return [
        key,
        Object.fromEntries(Object.entries(value).map(([name, one]) => [name, copy(one)])),
      ];
    }),
  );
}

/** A part of a JSON Pointer in a URI. */
function unescaped(part: string): string {
  return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
}
