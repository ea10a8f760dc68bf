// The entry `redstart/asyncapi`.
import { inspect } from 'node:util';
import { SetupError, type RedisBroker } from '../../index.ts';
import { documentOf, type AsyncApiDocument, type AsyncApiInfo } from './document.ts';

export type {
  AsyncApiChannel,
  AsyncApiDocument,
  AsyncApiInfo,
  AsyncApiMessage,
  AsyncApiOperation,
} from './document.ts';

export interface AsyncApiOptions {
  /** Default: the title `redstart service`, version `0.0.0`. */
  info?: AsyncApiInfo;
  /** The servers of the document, by name: `{ host, protocol: 'redis' }` and more. Default: none. */
  servers?: Readonly<Record<string, { host: string; protocol: string }>>;
}

const OPTIONS = ['info', 'servers'];

/**
 * The AsyncAPI 3.1 document of one or more brokers, as plain data: each place with its messages, each
 * handler, publisher and contract as an operation, answers and declared errors as replies. It is made
 * of `broker.describe()`: it is complete before `start`, and connects nothing. Throws `SetupError`
 * for what is no broker or no option, and for mistakes in registrations, as `start` does.
 */
export function asyncapi(
  ...given: [RedisBroker, ...RedisBroker[]] | [RedisBroker, ...RedisBroker[], AsyncApiOptions]
): AsyncApiDocument {
  const last = given.at(-1) as RedisBroker | AsyncApiOptions;
  const options = isBroker(last) ? {} : last;
  const brokers = (isBroker(last) ? given : given.slice(0, -1)) as readonly RedisBroker[];
  if (brokers.length === 0 || !brokers.every(isBroker))
    throw new SetupError('asyncapi: expected one or more brokers, then options');
  const { info, servers } = checked(options);
  return documentOf(
    brokers.map((broker) => broker.describe()),
    info,
    servers,
  );
}

function checked(options: unknown): { info: AsyncApiInfo; servers: AsyncApiDocument['servers'] } {
  if (typeof options !== 'object' || options === null)
    throw new SetupError(`asyncapi: options must be an object, got ${String(options)}`);
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (unknown !== undefined)
    throw new SetupError(`asyncapi: there is no option '${unknown}', only ${OPTIONS.join(', ')}`);
  const { info = { title: 'redstart service', version: '0.0.0' }, servers } =
    options as AsyncApiOptions;
  for (const key of ['title', 'version'] as const) {
    if (typeof info?.[key] !== 'string' || info[key] === '')
      throw new SetupError(
        `asyncapi: 'info' needs a ${key} that is text, got ${inspect(info?.[key])}`,
      );
  }
  for (const [name, server] of Object.entries(servers ?? {})) {
    if (!/^[\w-]+$/.test(name))
      throw new SetupError(
        `asyncapi: the name of a server must be letters, digits, _ and -, got '${name}'`,
      );
    if (typeof server?.host !== 'string' || typeof server.protocol !== 'string')
      throw new SetupError(`asyncapi: server '${name}' needs a host and a protocol that are text`);
  }
  return { info, servers };
}

function isBroker(one: unknown): one is RedisBroker {
  return typeof (one as Partial<RedisBroker> | undefined)?.describe === 'function';
}
