import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidMessageError, type MessageIssue } from '../errors.ts';
import { promiseIn } from '../internal/promises.ts';

/** A schema of any library that implements Standard Schema, such as zod, valibot or arktype. */
export type Schema<Output = unknown, Input = unknown> = StandardSchemaV1<Input, Output>;

/** The type that a handler receives for a schema. */
export type OutputOf<S extends StandardSchemaV1> = StandardSchemaV1.InferOutput<S>;

/** The type that can be sent for a schema. */
export type InputOf<S extends StandardSchemaV1> = StandardSchemaV1.InferInput<S>;

/** Checks a value against one schema and returns the schema's output; a promise of it if the schema is asynchronous. */
export type Validate = (value: unknown) => unknown;

/**
 * Makes the function that checks values against a schema. It throws (or rejects with)
 * {@link InvalidMessageError} for a value that does not fit. `what` names the value in that error.
 */
export function validator(schema: StandardSchemaV1, what: string): Validate {
  const standard = schema['~standard'];
  const unwrap = (result: StandardSchemaV1.Result<unknown>): unknown => {
    if (result.issues === undefined) return result.value;
    throw new InvalidMessageError(what, result.issues.map(plainIssue));
  };
  return (value) => {
    const result = standard.validate(value);
    const later = promiseIn(result) as Promise<StandardSchemaV1.Result<unknown>> | undefined;
    return later?.then(unwrap) ?? unwrap(result as StandardSchemaV1.Result<unknown>);
  };
}

/**
 * Checks a decoded body against a schema. `undefined` and `null` are both sent as an empty body: a
 * schema gets `undefined` for it, and `null` if it refuses that. Without a schema it stays `null`.
 */
export function validateBody(
  validate: Validate,
  message: { readonly body: unknown; readonly payload: Uint8Array },
): unknown {
  const { body } = message;
  if (body !== null || message.payload.length > 0) return validate(body);
  return validateEmpty(validate);
}

/** Checks an empty body, as {@link validateBody} does. */
export function validateEmpty(validate: Validate): unknown {
  const orNull = (error: unknown): unknown => {
    if (error instanceof InvalidMessageError) return validate(null);
    throw error;
  };
  try {
    const valid = validate(undefined);
    return valid instanceof Promise ? valid.catch(orNull) : valid;
  } catch (error) {
    return orNull(error);
  }
}

export function isSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as { '~standard'?: { validate?: unknown } })['~standard'];
  return typeof standard?.validate === 'function';
}

/** Keeps only path and message: other fields of a schema library may hold the rejected value. */
function plainIssue(issue: StandardSchemaV1.Issue): MessageIssue {
  const path = (issue.path ?? []).map((segment) => {
    const key = typeof segment === 'object' ? segment.key : segment;
    return typeof key === 'symbol' ? String(key) : key;
  });
  return { path, message: issue.message };
}
