import type { DiscoveryService, ExternalContextCreator, ModulesContainer } from '@nestjs/core';
import { SetupError, type RedisBroker } from '../../index.ts';
import { handlersFor } from './discovery.ts';
import { Enhancers } from './enhancers.ts';

/** A broker of a Nest app: starts it when the app is up, and ends its handlers before anything else of the app. */
export class BrokerHost {
  readonly name: string;
  readonly broker: RedisBroker;
  readonly #autoStart: boolean;
  readonly #discovery: DiscoveryService;
  readonly #creator: ExternalContextCreator;

  constructor(
    { name, broker, autoStart }: { name: string; broker: RedisBroker; autoStart: boolean },
    discovery: DiscoveryService,
    creator: ExternalContextCreator,
  ) {
    this.name = name;
    this.broker = broker;
    this.#autoStart = autoStart;
    this.#discovery = discovery;
    this.#creator = creator;
  }

  /** Nest calls it after those of all other modules: see {@link orderHooks}. */
  async onApplicationBootstrap(): Promise<void> {
    const hosts = hostsIn(this.#discovery);
    if (hosts.some((other) => other !== this && other.name === this.name))
      throw new SetupError(
        `redstart/nestjs: forRoot was called twice for the broker '${this.name}': give one of them a 'name'`,
      );
    const enhancers = new Enhancers(this.#creator);
    const handlers = handlersFor(this, hosts, this.#discovery).map((found) =>
      enhancers.register(found),
    );
    this.broker.register(...handlers);
    if (!this.#autoStart) return;
    try {
      await this.broker.start();
      // Where it ran already, its start is over, and these are still being subscribed.
      const subscribers = handlers.flatMap((one) => this.broker.subscribersOf(one));
      await Promise.all(subscribers.map((subscriber) => subscriber.started()));
    } catch (error) {
      // Nest 11 runs no hook of an app that could not be started.
      await Promise.all(hosts.map(({ broker }) => broker.stop()));
      throw error;
    }
  }

  /** Nest calls it before those of all other modules. All brokers at once: a handler of one may call another. */
  async onModuleDestroy(): Promise<void> {
    await Promise.all(hostsIn(this.#discovery).map(({ broker }) => broker.drain()));
  }
}

/** All of this app, in the order of their modules. */
export function hostsIn(discovery: DiscoveryService): BrokerHost[] {
  return discovery
    .getProviders()
    .map(({ instance }) => instance as unknown)
    .filter((instance) => instance instanceof BrokerHost);
}

/**
 * Nest runs the hooks of the start by distance from the root module, the farthest first, and those of the
 * end the other way round. A host comes after all modules and ends before them; the module that holds its
 * broker, whose connection closes, comes first and ends last.
 */
export function orderHooks(
  modules: ModulesContainer,
  tokens: { host: string; broker: string | object },
): void {
  for (const module of modules.values()) {
    if (module.providers.has(tokens.host)) module.distance = -1;
    if (module.providers.has(tokens.broker as string)) module.distance = Number.MAX_VALUE;
  }
}
