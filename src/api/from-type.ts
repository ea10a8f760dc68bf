import type { StandardSchemaV1 } from '@standard-schema/spec';
import { SetupError } from '../errors.ts';
import { got } from '../internal/checks.ts';
import { isSchema, type Schema } from '../message/schema.ts';

/** The vendor by which {@link fromType} is recognised, also that of another copy of the package. */
const FROM_TYPE = 'redstart:fromType';

const ONLY_ON_METHODS = "'fromType' works on a method decorator: give the schema itself here";

/**
 * `schema: fromType` takes the schema from the type of the handler's first parameter: a class that
 * is a schema itself or has one as its static `schema`, or String, Number or Boolean. It needs
 * `emitDecoratorMetadata`, which tsc and swc honour in the older decorator dialect; esbuild, tsx
 * and standard decorators emit no types, which is an error at registration.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- the parameter's type is known to its declaration alone
export const fromType: Schema<any, any> = {
  '~standard': {
    version: 1,
    vendor: FROM_TYPE,
    // Reached only from outside redstart: the checks of options refuse `fromType` everywhere but on a method.
    validate: () => {
      throw new SetupError(ONLY_ON_METHODS);
    },
  },
};

/** Whether a schema is {@link fromType}, of whichever copy of the package. */
export function isFromType(value: unknown): boolean {
  return isSchema(value) && value['~standard'].vendor === FROM_TYPE;
}

/** Throws {@link SetupError} for a value that is not a schema, and for {@link fromType}, which only a method's decorator can resolve. */
export function schema(value: unknown, key: string, where: string): void {
  if (isFromType(value)) throw new SetupError(`${where}: '${key}': ${ONLY_ON_METHODS}`);
  if (isSchema(value)) return;
  throw new SetupError(
    `${where}: '${key}' must implement Standard Schema, as those of zod, valibot and arktype do, got ${got(value)}`,
  );
}

/** The schema that `fromType` stands for on a method. */
export function schemaFromType(
  types: readonly unknown[] | undefined,
  where: string,
): StandardSchemaV1 {
  if (types === undefined) {
    throw new SetupError(
      `${where}: 'schema: fromType' needs the parameter's type, but none was emitted (esbuild and tsx never do): compile with emitDecoratorMetadata and experimentalDecorators by tsc or swc, or give the schema itself`,
    );
  }
  const type = types[0] as { name?: string; schema?: unknown } | undefined;
  const primitive = PRIMITIVES.get(type);
  if (primitive !== undefined) return ofPrimitive(primitive);
  for (const candidate of [type, type?.schema]) if (isSchema(candidate)) return candidate;
  throw new SetupError(
    `${where}: 'schema: fromType' finds no schema on the parameter's type ${type?.name ?? '(none)'}: give the class a static 'schema', or give the schema itself`,
  );
}

const PRIMITIVES = new Map<unknown, string>([
  [String, 'string'],
  [Number, 'number'],
  [Boolean, 'boolean'],
]);

function ofPrimitive(type: string): StandardSchemaV1 {
  return {
    '~standard': {
      version: 1,
      vendor: 'redstart',
      validate: (value) =>
        typeof value === type
          ? { value }
          : {
              issues: [
                {
                  message: `expected a ${type}, received ${value === null ? 'null' : typeof value}`,
                },
              ],
            },
    },
  };
}
