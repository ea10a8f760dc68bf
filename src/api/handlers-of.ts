import { SetupError } from '../errors.ts';
import { got } from '../internal/checks.ts';
import { intentsOf } from './metadata.ts';

/** One decorator on one method. */
export interface DecoratedMethod {
  readonly type: 'subscriber' | 'publisher';
  readonly method: string | symbol;
  /** As it was given to the decorator: a channel's name, an address or a contract. */
  readonly address: unknown;
  /** The second argument of the decorator. */
  readonly options: unknown;
  /** The broker or router whose own decorator it was; undefined for `@subscriber` and `@publisher`. */
  readonly owner: object | undefined;
}

/**
 * The methods of a class that carry `@subscriber` or `@publisher`, inherited ones included; empty for
 * a class without any. For frameworks that find handlers by themselves. Throws `SetupError` for a
 * value that is no class.
 */
export function handlersOf(type: abstract new (...args: never[]) => object): DecoratedMethod[] {
  if (typeof type !== 'function' || typeof type.prototype !== 'object') {
    throw new SetupError(`handlersOf: expected a class, got ${got(type)}`);
  }
  // The prototype stands for an instance: the methods are found from there up.
  return intentsOf(Object.create(type.prototype as object) as object).map(
    ({ type: kind, method, address, options, owner }) => ({
      type: kind,
      method,
      address,
      options,
      owner,
    }),
  );
}
