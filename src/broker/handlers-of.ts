import { publisherSpec, subscriberSpec, type SubscriberSpec } from '../api/check.ts';
import { schemaFromType } from '../api/from-type.ts';
import { everyIntentOf, intentsOf, type FoundIntent, type Intent } from '../api/metadata.ts';
import type { HandlerFunction } from '../api/middleware.ts';
import type { PublisherOptions } from '../api/options.ts';
import { SetupError, brandOf } from '../errors.ts';
import { got } from '../internal/checks.ts';
import type { Schema } from '../message/schema.ts';
import type { Publisher } from '../publish/publisher.ts';
import { Subscriber, type ForwardSpec } from './subscriber.ts';

/** The handler methods of an instance that is registered at `owner`, a broker or router, and the decorators that they have. */
export function handlersOf(
  instance: object,
  owner: object,
): { subscribers: Subscriber[]; claimed: Intent[] } {
  // An object without a prototype has no class.
  const className = (instance as { constructor?: { name: string } }).constructor?.name ?? 'Object';
  const intents = intentsOf(instance).filter(
    (intent) => intent.owner === undefined || intent.owner === owner,
  );
  const found = intents.filter(({ type }) => type === 'subscriber');
  if (found.length === 0) {
    const alone = intents.length > 0 ? ', and @publisher alone receives nothing' : '';
    throw new SetupError(`register: class ${className} has no method with @subscriber${alone}`);
  }
  const subscribers = found.map((one) => {
    const name = `${className}.${String(one.method)}`;
    const method = (instance as Record<string | symbol, HandlerFunction>)[one.method];
    const publishers = intents
      .filter((other) => other.type === 'publisher' && other.method === one.method)
      .map((other) => forwardSpec(other, `@publisher on ${name}`));
    return new Subscriber(
      withSchema(one, name),
      name,
      (method as HandlerFunction).bind(instance),
      publishers,
      { instance, method: one.method },
    );
  });
  return { subscribers, claimed: everyIntentOf(instance) };
}

function forwardSpec({ address, options }: Intent, where: string): ForwardSpec {
  if (brandOf(address) !== 'Publisher') return publisherSpec(address, options, where);
  const through = address as Publisher<Schema, unknown>;
  if (options !== undefined && Object.keys(options as object).some((key) => key !== 'batch'))
    throw new SetupError(`${where}: the publisher has options of its own: leave others out`);
  const { batch } = (options ?? {}) as PublisherOptions;
  const spec = through.spec;
  return {
    ...spec,
    options: { ...spec.options, batch: batch ?? spec.options.batch ?? false },
    through,
  };
}

/** What is given to a broker's own decorator. A user who forgets the handler, or gives it first, ends here too. */
export function checkDecorated(address: unknown, options: unknown): void {
  if (typeof address === 'function')
    throw new SetupError(
      'subscriber: the address comes first, the handler last, as in subscriber({ list }, handler): got a function first',
    );
  if (options !== undefined && (typeof options !== 'object' || options === null))
    throw new SetupError(`subscriber: expected options or a handler function, got ${got(options)}`);
}

/** An instance of a class that needs no arguments. */
export function instantiate(type: new () => object): object {
  // An arrow function or a method is no class: it has no prototype.
  if (type.prototype === undefined)
    throw new SetupError(`register: expected a class or an instance, got ${got(type)}`);
  if (type.length > 0) {
    throw new SetupError(
      `register: ${type.name} takes ${type.length} constructor argument(s): register an instance, as in register(new ${type.name}(…))`,
    );
  }
  return new type();
}

function withSchema(intent: FoundIntent, name: string): SubscriberSpec {
  const where = `@subscriber on ${name}`;
  return subscriberSpec(intent.address, intent.options, where, () =>
    schemaFromType(intent.parameterTypes, where),
  );
}
