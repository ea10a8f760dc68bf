import { inspect } from 'node:util';
import { SetupError, type RedisBroker } from '../../index.ts';
import {
  write,
  type AsyncApiDocument,
  type AsyncApiInfo,
  type AsyncApiVersion,
  type Fields,
  type Written,
} from './document.ts';

export interface AsyncApiOptions {
  /** The `info` object of the document. Default: the title `redstart service` and the version `0.0.0`. */
  info?: AsyncApiInfo;
  /** The servers of the document, by name: `{ host, protocol: 'redis' }` and more. Default: none. */
  servers?: Readonly<Record<string, { host: string; protocol: string }>>;
  /** The version of the specification that the document names. The rest is the same; some tools refuse 3.1. Default `3.1.0`. */
  version?: AsyncApiVersion;
}

const OPTIONS = ['info', 'servers', 'version'];
const VERSIONS: readonly unknown[] = ['3.1.0', '3.0.0'];

/**
 * The AsyncAPI 3.1 document of one or more brokers, as plain data: each place with its messages, each
 * handler, publisher and contract as an operation, answers and declared errors as replies. It is made
 * of `broker.describe()`: it is complete before `start`, and connects nothing. Throws `SetupError`
 * for what is no broker or no option, and for mistakes in registrations, as `start` does.
 */
export function asyncapi(
  ...given: [RedisBroker, ...RedisBroker[]] | [RedisBroker, ...RedisBroker[], AsyncApiOptions]
): AsyncApiDocument {
  const { brokers, options } = brokersIn<AsyncApiOptions>(given, 'asyncapi');
  return writerFor(brokers, options, 'asyncapi')().document;
}

/** Brokers and then options, as given. Throws `SetupError` for anything else. */
export function brokersIn<Options extends object>(
  given: readonly (RedisBroker | Options)[],
  where: string,
): { brokers: readonly RedisBroker[]; options: Partial<Options> } {
  const last = given.at(-1);
  const brokers = isBroker(last) ? given : given.slice(0, -1);
  if (brokers.length === 0 || !brokers.every(isBroker))
    throw new SetupError(`${where}: expected one or more brokers, then options`);
  const options = isBroker(last) ? {} : last;
  if (typeof options !== 'object' || options === null)
    throw new SetupError(`${where}: options must be an object, got ${String(options)}`);
  return { brokers, options };
}

/** Makes what writes the document as the brokers are when it is called. `where` is for the errors. */
export function writerFor(
  brokers: readonly RedisBroker[],
  options: AsyncApiOptions,
  where: string,
): () => Written {
  const fields = checked(options, where);
  return () =>
    write(
      brokers.map((broker) => broker.describe()),
      fields,
    );
}

function checked(options: AsyncApiOptions, where: string): Fields {
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (unknown !== undefined)
    throw new SetupError(`${where}: there is no option '${unknown}', only ${OPTIONS.join(', ')}`);
  const {
    info = { title: 'redstart service', version: '0.0.0' },
    servers,
    version = '3.1.0',
  } = options;
  if (!VERSIONS.includes(version))
    throw new SetupError(`${where}: 'version' must be '3.1.0' or '3.0.0', got ${inspect(version)}`);
  for (const key of ['title', 'version'] as const) {
    if (typeof info?.[key] !== 'string' || info[key] === '')
      throw new SetupError(
        `${where}: 'info' needs a ${key} that is text, got ${inspect(info?.[key])}`,
      );
  }
  for (const [name, server] of Object.entries(servers ?? {})) {
    if (!/^[\w-]+$/.test(name))
      throw new SetupError(
        `${where}: the name of a server must be letters, digits, _ and -, got '${name}'`,
      );
    if (typeof server?.host !== 'string' || typeof server.protocol !== 'string')
      throw new SetupError(`${where}: server '${name}' needs a host and a protocol that are text`);
  }
  return { version, info, servers };
}

function isBroker(one: unknown): one is RedisBroker {
  return typeof (one as Partial<RedisBroker> | undefined)?.describe === 'function';
}
