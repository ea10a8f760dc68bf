// Puts services into a process: all of them, as on a developer's machine, or one, as in production.
import type { Server } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { createApp, RedisBroker, type App, type Logger } from 'redstart';
import { telemetry } from 'redstart/otel';
import { Bank } from './bank.ts';
import { newGateway } from './gateway.ts';
import { Notifications, type Mail } from './notifications.ts';
import { newOperations } from './operations.ts';
import { Orders } from './orders.ts';
import { Payments } from './payments.ts';
import { Shipments } from './shipments.ts';
import { Stock } from './stock.ts';

export const SERVICES = ['gateway', 'orders', 'stock', 'payments', 'shipments', 'notifications'];

export interface ShopOptions {
  /** Default: all services. */
  services?: readonly string[];
  redis: string;
  /** What stands before all names in Redis. Default `shop:`. */
  prefix?: string;
  bank?: Bank;
  stock?: Stock;
  /** Default: mails are logged. */
  send?: (mail: Mail) => void;
  /** Milliseconds before what has failed is tried again; twice as many each time. Default 1000. */
  retryAfter?: number;
  /** Milliseconds after which a customer is reminded of an invoice. Default: 7 days. */
  remindAfter?: number;
  logger?: Logger | false;
  /** Of the gateway. Default 3000. */
  port?: number;
  /** Of probes, metrics and dashboard. Default 9464. */
  operationsPort?: number;
}

export interface Shop {
  readonly app: App;
  readonly brokers: readonly [RedisBroker, ...RedisBroker[]];
  /** Undefined where this process is another service. */
  readonly gateway: FastifyInstance | undefined;
  readonly operations: Server;
}

export function newShop(options: ShopOptions): Shop {
  const { services = SERVICES, redis, prefix = 'shop:', bank = new Bank() } = options;
  const { retryAfter = 1_000, remindAfter = 7 * 86_400_000, logger } = options;
  const { port = 3000, operationsPort = 9464 } = options;
  const { send = ({ to, text }: Mail) => console.log(`mail to ${to}: ${text}`) } = options;

  // What all services have in common. Each has a broker of its own, also where they share a process.
  const newBroker = (): RedisBroker =>
    new RedisBroker(redis, {
      prefix,
      observers: [telemetry()],
      control: true,
      // Four deliveries, and then the dead letters.
      retry: { maxDeliveries: 4, backoff: (deliveries) => retryAfter * 2 ** (deliveries - 1) },
      ...(logger === undefined ? {} : { logger }),
    });

  const handlers: Readonly<Record<string, (broker: RedisBroker) => object>> = {
    orders: () => new Orders(),
    stock: () => options.stock ?? new Stock(),
    payments: (broker) => new Payments(broker, bank, remindAfter),
    shipments: () => new Shipments(),
    notifications: () => new Notifications(send),
  };
  let gateway: FastifyInstance | undefined;
  const brokers = services.map((service) => {
    const broker = newBroker();
    if (service === 'gateway') {
      gateway = newGateway(broker);
      return broker;
    }
    const make = handlers[service];
    if (make === undefined)
      throw new Error(`there is no service '${service}'; there are ${SERVICES.join(', ')}`);
    broker.register(make(broker));
    return broker;
  });
  const [first, ...rest] = brokers;
  if (first === undefined) throw new Error(`name at least one of ${SERVICES.join(', ')}`);
  const all: Shop['brokers'] = [first, ...rest];
  const operations = newOperations(all);
  const app = createApp(all, {
    // The gateway first: /ready must not say yes before it takes requests.
    afterStartup: async () => {
      await gateway?.listen({ port });
      await new Promise<void>((listening, failed) => {
        operations.once('error', failed).listen(operationsPort, () => listening());
      });
    },
    // Requests that run end first: they need the brokers.
    beforeShutdown: async () => {
      await gateway?.close();
      operations.close();
      operations.closeAllConnections();
    },
  });
  return { app, brokers: all, gateway, operations };
}
