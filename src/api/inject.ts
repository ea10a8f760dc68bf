import type { Dependency, DependencyValue } from './context.ts';

/** Names in `ctx.state`, and the functions that make the values. */
export type Injections = Readonly<Record<string, Dependency>>;

/** What `ctx.state` holds for a handler with `inject`. */
export type InjectedState<I extends Injections> = {
  readonly [K in keyof I]: DependencyValue<I[K]>;
};
