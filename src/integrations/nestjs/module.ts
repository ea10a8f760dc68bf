import {
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
} from '@nestjs/common';
import {
  DiscoveryModule,
  DiscoveryService,
  ExternalContextCreator,
  ModulesContainer,
} from '@nestjs/core';
import { RedisBroker, SetupError, type BrokerOptions, type RedisConnection } from '../../index.ts';
import { nestErrors } from './errors.ts';
import { RedstartHealthIndicator } from './health.ts';
import { BrokerHost, orderHooks } from './host.ts';
import { nestLogger } from './logger.ts';
import { DEFAULT, getBrokerToken } from './tokens.ts';

/** A broker's options, as `forRootAsync` gets them from its factory. */
export interface RedstartBrokerOptions extends BrokerOptions {
  /** Where Redis is, as for `new RedisBroker(connection)`. Default `redis://localhost:6379`. */
  connection?: RedisConnection;
  /** Whether the broker starts when the app is up. With `false` you call `broker.start()`. Default `true`. */
  autoStart?: boolean;
}

export interface ModuleOptions {
  /** The name of a second broker, for `@InjectBroker(name)` and `@UseBroker(name)`. Default: none. */
  name?: string;
  /** Whether all modules can inject the broker without importing this module. Default `true`. */
  global?: boolean;
}

export interface RedstartModuleOptions extends RedstartBrokerOptions, ModuleOptions {}

export interface RedstartAsyncOptions extends ModuleOptions, Pick<ModuleMetadata, 'imports'> {
  /** What the factory is given. */
  inject?: FactoryProvider['inject'];
  // oxlint-disable-next-line typescript/no-explicit-any -- its parameters are what `inject` names
  useFactory: (...args: any[]) => RedstartBrokerOptions | Promise<RedstartBrokerOptions>;
}

/** Holds a broker. The connection closes when all other modules are destroyed. */
class RedstartBrokerModule {}
Module({})(RedstartBrokerModule);

/**
 * A broker for a Nest app. It finds `@subscriber` on the methods of all providers and controllers, and runs
 * them as Nest runs the methods of controllers: guards, interceptors, pipes, exception filters, request scope.
 *
 * The broker starts after all hooks of the app's start. At the end, `app.close()` or a signal after
 * `app.enableShutdownHooks()`, its handlers end before any provider is destroyed, and its connection
 * closes last.
 */
export class RedstartModule {
  /** Throws `SetupError` for options that make no sense; those of the broker when the app is made. */
  static forRoot(options: RedstartModuleOptions = {}): DynamicModule {
    const { name, global, ...rest } = options;
    return build({ ...given('name', name), ...given('global', global), useFactory: () => rest });
  }

  /** The options from a factory: of a configuration service, for example. */
  static forRootAsync(options: RedstartAsyncOptions): DynamicModule {
    if (typeof (options.useFactory as unknown) !== 'function')
      throw new SetupError("redstart/nestjs: forRootAsync: 'useFactory' must be a function");
    return build(options);
  }
}
Module({})(RedstartModule);

function build(options: RedstartAsyncOptions): DynamicModule {
  const { name = DEFAULT, global = true, imports = [], inject = [], useFactory } = options;
  if (typeof (name as unknown) !== 'string' || name === '')
    throw new SetupError(`redstart/nestjs: 'name' must be text, got '${name}'`);
  const tokens = {
    options: `redstart:options:${name}`,
    broker: getBrokerToken(name),
    host: `redstart:host:${name}`,
  };
  const holder: DynamicModule = {
    module: RedstartBrokerModule,
    global,
    imports: [...imports, DiscoveryModule],
    providers: [
      { provide: tokens.options, useFactory, inject },
      {
        provide: tokens.broker,
        useFactory: brokerOf,
        inject: [tokens.options],
      },
      {
        provide: `redstart:end:${name}`,
        useFactory: (broker: RedisBroker) => ({ onApplicationShutdown: () => broker.stop() }),
        inject: [tokens.broker],
      },
      {
        provide: RedstartHealthIndicator,
        useFactory: (discovery: DiscoveryService) => new RedstartHealthIndicator(discovery),
        inject: [DiscoveryService],
      },
    ],
    exports: [tokens.options, tokens.broker, RedstartHealthIndicator],
  };
  return {
    module: RedstartModule,
    imports: [holder, DiscoveryModule],
    providers: [
      {
        provide: tokens.host,
        useFactory: (
          broker: RedisBroker,
          { autoStart = true }: RedstartBrokerOptions,
          discovery: DiscoveryService,
          creator: ExternalContextCreator,
          modules: ModulesContainer,
        ) => {
          orderHooks(modules, tokens);
          return new BrokerHost({ name, broker, autoStart }, discovery, creator);
        },
        inject: [
          tokens.broker,
          tokens.options,
          DiscoveryService,
          ExternalContextCreator,
          ModulesContainer,
        ],
      },
    ],
    exports: [holder],
  };
}

function brokerOf(all: RedstartBrokerOptions): RedisBroker {
  if (typeof (all as unknown) !== 'object' || all === null)
    throw new SetupError(
      `redstart/nestjs: 'useFactory' must return the options of a broker, got ${String(all)}`,
    );
  const { connection, autoStart: _, ...options } = all;
  const { onError = [], logger = nestLogger() } = options;
  // A handler of the app's own for every error sees Nest's exceptions itself.
  const isOwn = onError.some(({ type }) => type === Error);
  return new RedisBroker(connection, {
    ...options,
    logger,
    onError: isOwn ? onError : [...onError, ...nestErrors],
  });
}

function given<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: V });
}
