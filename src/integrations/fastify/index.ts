// The entry `redstart/fastify`. It imports only types of fastify, which is an optional peer.
import type { FastifyBaseLogger, FastifyInstance, FastifyPluginAsync } from 'fastify';
import {
  RedisBroker,
  SetupError,
  type BrokerOptions,
  type Logger,
  type RedisConnection,
} from '../../index.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The broker of the plugin `redstart/fastify` that was registered without a `name`. */
    redstart: RedisBroker;
  }
}

/** Options of the plugin: those of a broker and the following, or a broker that was made elsewhere. */
export interface RedstartPluginOptions extends BrokerOptions {
  /** Where Redis is, as for `new RedisBroker(connection)`. Default `redis://localhost:6379`. */
  connection?: RedisConnection;
  /**
   * A broker that you made, instead of `connection` and the options of a broker. The plugin starts and stops it.
   * Default: the plugin makes one.
   */
  broker?: RedisBroker;
  /** Instances or classes with `@subscriber` methods, for `broker.register`. Default: none. */
  handlers?: readonly object[];
  /** The property of the Fastify instance that holds the broker. A second broker needs another name. Default `redstart`. */
  name?: string;
}

const plugin: FastifyPluginAsync<RedstartPluginOptions> = async (app, options) => {
  const { handlers = [], name = 'redstart' } = options;
  if (typeof (name as unknown) !== 'string' || name === '')
    throw new SetupError(`redstart/fastify: 'name' must be text, got '${name}'`);
  if (app.hasDecorator(name))
    throw new SetupError(
      `redstart/fastify: the app has '${name}' already: give a second broker a 'name' of its own`,
    );
  if (!Array.isArray(handlers))
    throw new SetupError(
      `redstart/fastify: 'handlers' must be an array of instances or classes, got ${String(handlers)}`,
    );
  const broker = brokerFor(app, options);
  broker.register(...(handlers as readonly object[]));
  app.decorate(name, broker);
  // A hook must resolve with nothing: Fastify takes some values for errors.
  app.addHook('onReady', async () => {
    await broker.start();
  });
  app.addHook('preClose', async () => {
    await broker.drain();
  });
  app.addHook('onClose', async () => {
    await broker.stop();
  });
};

function brokerFor(app: FastifyInstance, options: RedstartPluginOptions): RedisBroker {
  const { connection, broker, handlers: _, name: __, ...rest } = options;
  if (broker === undefined) {
    const logger = loggerOf(app.log);
    return new RedisBroker(connection, { ...(logger === undefined ? {} : { logger }), ...rest });
  }
  const [other] = Object.keys(connection === undefined ? rest : { connection });
  if (other !== undefined)
    throw new SetupError(
      `redstart/fastify: '${other}' does not go with 'broker': give it to the RedisBroker`,
    );
  return broker;
}

/** Fastify's logger, for lines that say where they come from; undefined (stderr) where it was made without one. */
function loggerOf(log: FastifyBaseLogger): Logger | undefined {
  if (log.level === undefined) return undefined;
  return log.child({ module: 'redstart' });
}

/** Fastify's own marks: the broker belongs to the whole app and not to an encapsulated part of it. */
const MARKS = {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'redstart',
  [Symbol.for('plugin-meta')]: { name: 'redstart', fastify: '5.x' },
};

/**
 * Makes a broker part of a Fastify 5 app: `await app.register(redstart, { connection, handlers })`.
 *
 * `app.redstart` is the broker. It starts in `onReady`, so an app that cannot reach Redis does not
 * listen. At `app.close()` its handlers end first (`preClose`), HTTP requests that run may still
 * publish and call, and the connections close last (`onClose`). Without the option `logger` the broker
 * logs to `app.log`, or to stderr where the app has no logger.
 *
 * Throws `SetupError` for an invalid option, and for a `name` that is taken.
 */
export const redstart: FastifyPluginAsync<RedstartPluginOptions> = Object.assign(plugin, MARKS);
