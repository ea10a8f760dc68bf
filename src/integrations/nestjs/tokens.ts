import 'reflect-metadata';
import { Inject } from '@nestjs/common';
import { RedisBroker } from '../../index.ts';

/** The name of a broker that is given none. */
export const DEFAULT = 'default';

/** The name in `@UseBroker(name)`, on the class. */
const BROKER_OF = 'redstart:broker';

/**
 * The token of a broker for Nest's containers: `app.get(getBrokerToken('billing'))`. Without a name it is
 * the class `RedisBroker`, so that `app.get(RedisBroker)` and a constructor parameter of that type work, too.
 */
export function getBrokerToken(name: string = DEFAULT): string | typeof RedisBroker {
  return name === DEFAULT ? RedisBroker : `redstart:broker:${name}`;
}

/** Injects a broker: a constructor parameter or a property. `name` is that of its `forRoot`. */
export function InjectBroker(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getBrokerToken(name));
}

/**
 * The `@subscriber` methods of this class belong to the broker of this name. Without it they belong to the broker
 * without a name, or to the only one.
 */
export function UseBroker(name: string): ClassDecorator {
  return (type) => Reflect.defineMetadata(BROKER_OF, name, type);
}

export function brokerNameOf(type: object): string | undefined {
  return Reflect.getMetadata(BROKER_OF, type) as string | undefined;
}
