import { SetupError } from '../errors.ts';
import { isObject } from '../internal/checks.ts';
import type { Dependency, MessageContext, ValueOf } from '../api/context.ts';

/** Names in `ctx.state`, and what makes the values. */
export type Injections = Readonly<Record<string, Dependency>>;

/** What `ctx.state` holds for a handler with `inject`. */
export type InjectedBy<I extends Injections> = { readonly [K in keyof I]: ValueOf<I[K]> };

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

/** The handler, called with its dependencies in `ctx.state`. */
export function injecting<H extends (body: never, ctx: MessageContext) => unknown>(
  inject: Injections | undefined,
  handler: H,
): H | ((body: never, ctx: MessageContext) => unknown) {
  const wanted = Object.entries(inject ?? {});
  if (wanted.length === 0) return handler;
  return (body, ctx) => {
    const later = fill(ctx, wanted, 0);
    return later === undefined ? handler(body, ctx) : later.then(() => handler(body, ctx));
  };
}

/** One after the other, so that those which stand later find what came before. */
function fill(
  ctx: MessageContext,
  wanted: readonly (readonly [string, Dependency])[],
  from: number,
): Promise<void> | undefined {
  for (let i = from; i < wanted.length; i++) {
    const [name, dependency] = wanted[i] as readonly [string, Dependency];
    const value = ctx.need(dependency);
    if (value instanceof Promise) {
      return value.then((made: unknown) => {
        ctx.state[name] = made;
        return fill(ctx, wanted, i + 1);
      });
    }
    ctx.state[name] = value;
  }
  return undefined;
}
