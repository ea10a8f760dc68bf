import { SetupError } from '../errors.ts';
import { isObject } from '../internal/checks.ts';
import type { Dependency, DependencyValue } from './context.ts';

/** Names in `ctx.state`, and the functions that make the values. */
export type Injections = Readonly<Record<string, Dependency>>;

/** What `ctx.state` holds for a handler with `inject`. */
export type InjectedState<I extends Injections> = {
  readonly [K in keyof I]: DependencyValue<I[K]>;
};

/** Throws where `inject` is not an object of functions. */
export function checkInjections(given: unknown, where: string): void {
  if (given === undefined) return;
  if (!isObject(given)) {
    throw new SetupError(
      `${where}: 'inject' must be an object of functions of ctx, got ${typeof given}`,
    );
  }
  for (const [name, dependency] of Object.entries(given)) {
    if (typeof dependency === 'function') continue;
    throw new SetupError(
      `${where}: 'inject.${name}' must be a function of ctx that makes the value, got ${typeof dependency}: for a fixed one, () => ${name}`,
    );
  }
}
