/** Checks of options that know a word of the domain; the plain ones stand in internal/checks.ts. */
import { SetupError } from '../errors.ts';
import { OBSERVER_METHODS } from './observer.ts';
import { functions, isObject, got, wrong, type Check } from '../internal/checks.ts';
import { expectedHeaders, isPlainHeaders } from '../message/headers.ts';
import { targetOf } from '../transport/address.ts';
import { checkErrorHandlers } from './error-handlers.ts';
import { checkMiddleware } from './middleware.ts';

export const codec = functions(['encode', 'decode']);

export const control: Check = (value, key, where) => {
  if (typeof value !== 'boolean' && value !== 'status')
    throw wrong(where, key, "a boolean or 'status'", value);
};

const hasLevels = functions(['debug', 'info', 'warn', 'error'], ', or be false');

export const logger: Check = (value, key, where, all) => {
  if (value !== false) hasLevels(value, key, where, all);
};

export const middlewares: Check = (value, key, where) => {
  if (!Array.isArray(value)) throw wrong(where, key, 'an array', value);
  for (const middleware of value) checkMiddleware(middleware, where);
};

export const errorHandlers: Check = (value, _key, where) => checkErrorHandlers(value, where);

/** Names, and functions of ctx that make the values. */
export const injections: Check = (value, key, where) => {
  if (!isObject(value)) throw wrong(where, key, 'an object of functions of ctx', value);
  for (const [name, dependency] of Object.entries(value)) {
    if (typeof dependency === 'function') continue;
    throw new SetupError(
      `${where}: '${key}.${name}' must be a function of ctx that makes the value, got ${got(dependency)}: for a fixed value, write () => ${name}`,
    );
  }
};

export const headers: Check = (value, key, where) => {
  if (!isPlainHeaders(value)) throw wrong(where, key, expectedHeaders(value), value);
  if ((value as Record<string, unknown>)['reply_to'] !== undefined) {
    throw new SetupError(
      `${where}: the header 'reply_to' is set by redstart: use the option 'replyTo'`,
    );
  }
};

/** A channel's name or an object; whether that has one destination, its reader finds. */
export const address: Check = (value, key, where) => {
  if (typeof value === 'string' || isObject(value)) return;
  throw wrong(where, key, "a channel's name or { channel }, { list } or { stream }", value);
};

/** The same, read at once. */
export const destination: Check = (value, key, where, all) => {
  address(value, key, where, all);
  targetOf(typeof value === 'string' ? { channel: value } : (value as object), `${where}: ${key}`);
};

/** Also a signal of another realm or of a polyfill. */
export const signal: Check = (value, key, where) => {
  const { aborted, addEventListener } = (value ?? {}) as Partial<AbortSignal>;
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function') return;
  throw wrong(where, key, 'an AbortSignal', value);
};

export const observers: Check = (value, key, where) => {
  if (!Array.isArray(value))
    throw new SetupError(`${where}: '${key}' must be an array, got ${got(value)}`);
  for (const observer of value) checkObserver(observer, where);
};

/** Throws for what is no observer: methods may be inherited from a class, an unknown one of its own is a mistake. */
export function checkObserver(observer: unknown, where: string): void {
  const given = observer as Readonly<Record<string, unknown>> | null;
  const isUsed =
    typeof given === 'object' && OBSERVER_METHODS.some((name) => given?.[name] !== undefined);
  if (!isUsed) {
    throw new SetupError(
      `${where}: an observer must be an object with at least one of ${OBSERVER_METHODS.join(', ')}, got ${got(observer)}`,
    );
  }
  for (const name of OBSERVER_METHODS) {
    const method = given?.[name];
    if (method === undefined || typeof method === 'function') continue;
    throw new SetupError(
      `${where}: an observer's '${name}' must be a function, got ${got(method)}`,
    );
  }
}
