/** Finds the classes with handlers among the providers and controllers of an app. */
import { Logger } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import { SetupError, handlersOf, type RedisBroker } from '../../index.ts';
import { DEFAULT, brokerNameOf } from './tokens.ts';

/** What Nest knows of a provider or controller. */
export type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** A provider or controller whose class has handlers. */
export interface Found {
  readonly wrapper: Wrapper;
  readonly type: HandlerClass;
  /** Its methods with a decorator that is for this broker. */
  readonly methods: readonly (string | symbol)[];
}

export type HandlerClass = abstract new (...args: never[]) => object;

/** A broker of the app, by its name. */
export interface NamedBroker {
  readonly name: string;
  readonly broker: RedisBroker;
}

/** The handlers of one broker among all of the app. Throws `SetupError` where a class belongs to no broker. */
export function handlersFor(
  own: NamedBroker,
  all: readonly NamedBroker[],
  discovery: DiscoveryService,
): Found[] {
  const found: Found[] = [];
  const instances = new Set<unknown>();
  for (const wrapper of [...discovery.getProviders(), ...discovery.getControllers()]) {
    const type = classOf(wrapper);
    if (type === undefined || instances.has(wrapper.instance)) continue;
    const decorated = handlersOf(type).filter(
      ({ owner }) => owner === own.broker || (owner === undefined && isFor(type, own, all)),
    );
    if (decorated.length === 0) continue;
    if (wrapper.isTransient)
      throw new SetupError(
        `redstart/nestjs: ${type.name} is a transient provider, of which every user has an instance of its own: give it another scope, or move its @subscriber methods`,
      );
    if (!decorated.some(({ type: kind }) => kind === 'subscriber'))
      throw new SetupError(
        `redstart/nestjs: ${type.name} has @publisher and no @subscriber, so nothing is received`,
      );
    instances.add(wrapper.instance);
    warnOfSecond(type, found);
    found.push({ wrapper, type, methods: [...new Set(decorated.map(({ method }) => method))] });
  }
  return found;
}

/** The class of an instance: that of a value or of what a factory made, too; undefined for what has none. */
function classOf(wrapper: Wrapper): HandlerClass | undefined {
  if (wrapper.isAlias) return undefined;
  const { metatype, inject } = wrapper;
  const instance: unknown = wrapper.instance;
  // The metatype of a factory is the factory.
  const type: unknown =
    metatype === null || inject !== undefined
      ? (instance as { constructor?: unknown } | null | undefined)?.constructor
      : metatype;
  const isClass = typeof type === 'function' && typeof type.prototype === 'object';
  return isClass && type.prototype !== null ? (type as HandlerClass) : undefined;
}

function isFor(type: HandlerClass, own: NamedBroker, all: readonly NamedBroker[]): boolean {
  const named = brokerNameOf(type);
  const names = all.map(({ name }) => name);
  if (named === undefined && !names.includes(DEFAULT) && names.length > 1)
    throw new SetupError(
      `redstart/nestjs: ${type.name} has @subscriber methods, and every broker has a name: choose one with @UseBroker('${names.join("') or @UseBroker('")}')`,
    );
  if (named !== undefined && !names.includes(named))
    throw new SetupError(
      `redstart/nestjs: ${type.name} has @UseBroker('${named}'), and no forRoot has this name: there is '${names.join("', '")}'`,
    );
  if (named !== undefined) return named === own.name;
  return own.name === DEFAULT || names.length === 1;
}

/** A class that two modules provide has two instances, and each gets messages: of a channel, both get each. */
function warnOfSecond(type: HandlerClass, found: readonly Found[]): void {
  if (!found.some((other) => other.type === type)) return;
  new Logger('Redstart').warn(
    `${type.name} is provided in more than one module, so it has several instances, and each of them handles messages: export it from one module`,
  );
}
