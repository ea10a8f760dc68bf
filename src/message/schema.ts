import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidMessageError, SetupError, type MessageIssue } from '../errors.ts';
import { got, isObject } from '../internal/checks.ts';
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
    if (!isObject(result)) throw badSchema(what, `{ value } or { issues }, got ${got(result)}`);
    const { issues } = result;
    // Also null: a library may say so that there is none.
    if (issues === undefined || issues === null) return (result as { value: unknown }).value;
    if (!Array.isArray(issues)) throw badSchema(what, `an array of issues, got ${got(issues)}`);
    throw new InvalidMessageError(what, issues.map(plainIssue));
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

/** A schema that does not keep to Standard Schema: the mistake is in it, not in the value. */
function badSchema(what: string, expected: string): SetupError {
  return new SetupError(`the schema of ${what} must return ${expected}`);
}

/** Keeps only path and message: other fields of a schema library may hold the rejected value. */
function plainIssue(issue: StandardSchemaV1.Issue | null | undefined): MessageIssue {
  const { path: given, message } = issue ?? {};
  const path = (Array.isArray(given) ? (given as unknown[]) : []).map((segment) => {
    const key = isObject(segment) ? (segment as { key?: unknown }).key : segment;
    return typeof key === 'number' ? key : String(key);
  });
  return { path, message: typeof message === 'string' ? message : 'does not fit' };
}
