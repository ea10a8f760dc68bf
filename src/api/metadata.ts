import 'reflect-metadata';
import { SetupError } from '../errors.ts';

// Node has no Symbol.metadata yet. It must exist before a class is decorated.
(Symbol as { metadata?: symbol }).metadata ??= Symbol.for('Symbol.metadata');

const KEY = Symbol.for('redstart:handlers');

/** The arguments of one decorator on one method. */
export interface Intent {
  readonly type: 'subscriber' | 'publisher';
  readonly method: string | symbol;
  readonly address: unknown;
  readonly options: unknown;
  /** The broker or router whose decorator it is (`@broker.subscriber`); undefined for `@subscriber` and `@publisher`. */
  readonly owner: object | undefined;
}

/** An intent with the parameter types of its method, if TypeScript emitted them. */
export interface FoundIntent extends Intent {
  /** The same object that {@link record} returned. */
  readonly intent: Intent;
  readonly parameterTypes: readonly unknown[] | undefined;
}

/** The arguments of a method decorator: of TypeScript's legacy decorators, or of standard ones. */
export type DecoratorArguments =
  | [prototype: object, key: string | symbol, descriptor: PropertyDescriptor | undefined]
  | [value: unknown, context: ClassMethodDecoratorContext];

/** Stores an intent, for legacy and standard decorators alike. Throws {@link SetupError} on anything but a public method. */
export function record(
  intent: Omit<Intent, 'method'>,
  decorator: string,
  args: DecoratorArguments,
): Intent {
  const [target, key] = args;
  const isStandard = typeof key === 'object' && key !== null && 'kind' in key;
  return isStandard
    ? recordStandard(intent, decorator, key)
    : recordLegacy(intent, decorator, target as object, key, args[2]);
}

function recordStandard(
  intent: Omit<Intent, 'method'>,
  decorator: string,
  context: ClassMethodDecoratorContext,
): Intent {
  if (context.kind !== 'method')
    throw notAMethod(decorator, context.name, `a ${context.kind as string}`);
  if (context.static) throw notAMethod(decorator, context.name, 'static');
  if (context.private) throw notAMethod(decorator, context.name, 'private');
  const full: Intent = { ...intent, method: context.name };
  const metadata = context.metadata as Record<symbol, Intent[]> | undefined;
  if (metadata === undefined) {
    throw new SetupError(
      `@${decorator} on '${String(context.name)}': the compiler gave the class no metadata: import redstart before the class is made, or compile with experimentalDecorators (docs/guide/compilers.md)`,
    );
  }
  if (!Object.hasOwn(metadata, KEY)) metadata[KEY] = [];
  metadata[KEY]?.push(full);
  return full;
}

function recordLegacy(
  intent: Omit<Intent, 'method'>,
  decorator: string,
  prototype: object,
  key: string | symbol | undefined,
  descriptor: unknown,
): Intent {
  if (key === undefined)
    throw notAMethod(decorator, String((prototype as { name?: string }).name), 'a class');
  if (typeof prototype === 'function') throw notAMethod(decorator, key, 'static');
  const { value } = (descriptor ?? {}) as PropertyDescriptor;
  if (typeof value !== 'function') throw notAMethod(decorator, key, 'a property or an accessor');
  const full: Intent = { ...intent, method: key };
  const known = (Reflect.getOwnMetadata(KEY, prototype) ?? []) as Intent[];
  Reflect.defineMetadata(KEY, [...known, full], prototype);
  return full;
}

function notAMethod(decorator: string, name: string | symbol, what: string): SetupError {
  return new SetupError(
    `@${decorator} belongs on a public method of a class, but '${String(name)}' is ${what}`,
  );
}

/**
 * All intents on the methods of an instance. A class inherits the intents of its parents, except for
 * methods that it decorates itself. This walks the prototypes, because some compilers do not link
 * the metadata of a class to that of its parent.
 */
export function intentsOf(instance: object): FoundIntent[] {
  const found: FoundIntent[] = [];
  const seen = new Set<string | symbol>();
  let prototype = Object.getPrototypeOf(instance) as object | null;
  while (prototype !== null && prototype !== Object.prototype) {
    const own = ownIntents(prototype);
    found.push(...own.filter((intent) => !seen.has(intent.method)));
    for (const intent of own) seen.add(intent.method);
    prototype = Object.getPrototypeOf(prototype) as object | null;
  }
  return found;
}

/** Also the intents on methods that a subclass overrides and decorates anew: no instance of it answers to them. */
export function everyIntentOf(instance: object): Intent[] {
  const found: Intent[] = [];
  let prototype = Object.getPrototypeOf(instance) as object | null;
  while (prototype !== null && prototype !== Object.prototype) {
    found.push(...ownIntents(prototype).map(({ intent }) => intent));
    prototype = Object.getPrototypeOf(prototype) as object | null;
  }
  return found;
}

function ownIntents(prototype: object): FoundIntent[] {
  const constructor = Object.hasOwn(prototype, 'constructor')
    ? (prototype.constructor as unknown as Record<symbol, Record<symbol, Intent[]> | undefined>)
    : undefined;
  const { metadata } = Symbol as unknown as { metadata: symbol };
  const holder =
    constructor !== undefined && Object.hasOwn(constructor, metadata)
      ? constructor[metadata]
      : undefined;
  const standard = holder !== undefined && Object.hasOwn(holder, KEY) ? (holder[KEY] ?? []) : [];
  const legacy = (Reflect.getOwnMetadata(KEY, prototype) ?? []) as Intent[];
  return [...standard, ...legacy].map((intent) => ({
    ...intent,
    intent,
    parameterTypes: Reflect.getOwnMetadata('design:paramtypes', prototype, intent.method) as
      | unknown[]
      | undefined,
  }));
}
