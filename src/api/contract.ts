import { RpcError, SetupError } from '../errors.ts';
import { checkOptions, func, got, isObject, wrong } from '../internal/checks.ts';
import type { Mistake } from '../internal/mistake.ts';
import { validator, type InputOf, type OutputOf, type Schema } from '../message/schema.ts';
import { templateParts } from '../transport/template.ts';
import { describe, targetOf, type Kind } from '../transport/address.ts';
import {
  CONTRACTS,
  type ChannelAddress,
  type HandlingOptions,
  type KindOf,
  type ListAddress,
  type MeantAddress,
  type PlainListAddress,
  type PlainStreamAddress,
  type StreamAddress,
} from './addresses.ts';
import type { Destination } from './destination.ts';
import type { ExcludedIn } from './pairs.ts';
import { schema as expectSchema } from './from-type.ts';

/**
 * The address of a contract: a channel's name, or a channel, a list or a stream with any option of its
 * kind. Options of the subscribing side are ignored where messages are sent; the subscriber can give
 * them too, and its own win. A stream's `maxlen` is for both sides: publishing caps the stream by it
 * (`XADD … MAXLEN ~`), and a group trims by it.
 */
export type ContractAddress =
  | string
  | ((
      | ChannelAddress
      | PlainListAddress
      | (ListAddress & { reliable: true })
      | Capped<PlainStreamAddress>
      | (StreamAddress & { group: string })
    ) &
      HandlingOptions &
      NoneOfOneSide);

/** What each side has its own of. */
interface NoneOfOneSide {
  timeout?: Mistake<"'timeout' is not an option of a contract: each side has its own">;
  pause?: Mistake<"'pause' is not an option of a contract: each side has its own">;
}

/**
 * The address of a contract. `A` is what was given, a string or a place: by it the compiler compares with the kind
 * of address that was meant, and its error is about that one.
 */
type ContractAddressFor<A, B extends boolean, Many extends boolean = false> = A extends string
  ? A
  : A extends object
    ? MeantPlace<A, B> & HandlingOptions & NoneOfOneSide & ExcludedIn<A, Many>
    : ContractAddress;

/** A stream without a group may have a `maxlen`. */
type MeantPlace<A, B extends boolean> =
  MeantAddress<A, B> extends PlainStreamAddress<B>
    ? Capped<PlainStreamAddress<B>>
    : MeantAddress<A, B>;

/** A contract's `maxlen` needs no group: publishing caps the stream by it. */
type Capped<Address> = Omit<Address, 'maxlen'> & { maxlen?: number };

/** The declared errors of a call: by code, the schema of the error's data. */
export type ErrorSchemas = Readonly<Record<string, Schema>>;

/** The type of `errors` for a call that declares none. */
export type NoErrors = Readonly<Record<string, never>>;

const CONTRACT = Symbol.for('redstart:contract');

/** Makes the key of each message of a batch or a pipeline; `index` is its place. */
// The type of the body is known where the function is written, and not here.
// oxlint-disable-next-line typescript/no-explicit-any
export type KeyOfEach = (body: any, index: number) => string;

/** The key of what only the compiler knows of a contract. */
declare const place: unique symbol;

export interface AnyContract<K extends Kind, B extends boolean, A> {
  readonly [CONTRACT]: 'rpc' | 'event';
  /** The address as it was given: its type has the options and the name. */
  readonly [place]?: A;
  /** The address with its options. */
  readonly address: Readonly<Record<string, unknown>>;
  readonly kind: K;
  /** Whether the handler gets arrays. */
  readonly batch: B;
  readonly schema: Schema;
  readonly reply: Schema | undefined;
  readonly errors: ErrorSchemas;
  /** Makes the key of a message of its body. */
  readonly key: KeyOfEach | undefined;
  /** Whether the answer is a stream of items, each with the schema `reply`. */
  readonly many: boolean;
}

/** A call that caller and handler share. Made by {@link rpc}. */
export interface RpcContract<
  Request extends Schema = Schema,
  Reply extends Schema = Schema,
  Errors extends ErrorSchemas = ErrorSchemas,
  Many extends boolean = boolean,
  K extends Kind = Kind,
  B extends boolean = boolean,
  A = unknown,
> extends AnyContract<K, B, A> {
  readonly [CONTRACT]: 'rpc';
  readonly schema: Request;
  readonly reply: Reply;
  readonly errors: Errors;
  readonly many: Many;
  /** Makes a declared error, for the handler to throw. */
  error<Code extends keyof Errors & string>(
    code: Code,
    data: InputOf<Errors[Code]>,
    message?: string,
  ): RpcError<Code, InputOf<Errors[Code]>>;
  /** Whether `error`, which a call rejected with, is the declared error with this code. */
  is<Code extends keyof Errors & string>(
    error: unknown,
    code: Code,
  ): error is RpcError<Code, OutputOf<Errors[Code]>>;
}

/** A message without an answer that sender and handler share. Made by {@link event}. */
export interface EventContract<
  S extends Schema = Schema,
  K extends Kind = Kind,
  B extends boolean = boolean,
  A = unknown,
> extends AnyContract<K, B, A> {
  readonly [CONTRACT]: 'event';
  readonly schema: S;
}

export type Contract = RpcContract | EventContract;

/** The type of a contract's address; any other address is its own. */
export type PlaceOf<C> = C extends { readonly [place]?: infer A }
  ? C extends Contract
    ? A
    : C
  : C;

export interface RpcDefinition<
  Request extends Schema,
  Reply extends Schema,
  Errors extends ErrorSchemas,
  Many extends boolean,
> {
  /** The schema of the request. The caller checks the request before it sends it, and the handler checks it when it arrives. */
  request: Request;
  /**
   * The schema of the answer, or of each item of a streamed answer. The handler checks before it sends, and the
   * caller when it arrives.
   */
  reply: Reply;
  /**
   * The errors that the handler may throw with `contract.error(code, data)`: for each code, the schema of its
   * data. Default: none.
   */
  errors?: Errors;
  /** The answer is a stream: the handler is an `async function*`, and callers use `broker.requestMany`. Default `false`. */
  many?: Many;
  /** Makes the `key` of a request from its body; see `key` of `publish`. Default: none. */
  key?: (request: InputOf<Request>) => string;
}

export interface EventDefinition<S extends Schema> {
  /** The schema of the body. The sender checks the body before it sends it, and the handler checks it when it arrives. */
  schema: S;
  /** Makes the `key` of a message from its body; see `key` of `publish`. Default: none. */
  key?: (body: InputOf<S>) => string;
}

/**
 * Describes a call once, for both sides to import. `@subscriber(contract)` checks the method against
 * it; `publish`, `request`, `requestMany` and `clientFor` take their types from it. Throws `SetupError`
 * for an invalid address or schema.
 */
export function rpc<
  Request extends Schema,
  Reply extends Schema,
  Errors extends ErrorSchemas = NoErrors,
  Many extends boolean = false,
  B extends boolean = false,
  const A = unknown,
>(
  address: ContractAddressFor<A, B, Many>,
  definition: RpcDefinition<Request, Reply, Errors, Many>,
): RpcContract<Request, Reply, Errors, Many, KindOf<A>, B, A> {
  const where = 'rpc()';
  expectDefinition(definition, '{ request, reply }', where);
  const { request, reply, errors = {} as Errors, many = false as Many, key } = definition;
  if (!isObject(errors)) throw wrong(where, 'errors', 'an object of schemas', errors);
  const place = placeIn(address, where) as Place<KindOf<A>, B>;
  expectSchema(request, 'request', where);
  expectSchema(reply, 'reply', where);
  for (const [code, schema] of Object.entries(errors))
    expectSchema(schema, `errors.${code}`, where);
  expectFunction(key, where);
  return {
    [CONTRACT]: 'rpc',
    ...place,
    schema: request,
    reply,
    errors,
    many,
    key,
    error: (code, data, message = code) => new RpcError(code, message, data),
    is: (error, code): error is never => error instanceof RpcError && error.code === code,
  };
}

/** Describes a message without an answer once, for both sides to import. Throws `SetupError` for an invalid address or schema. */
export function event<S extends Schema, B extends boolean = false, const A = unknown>(
  address: ContractAddressFor<A, B>,
  definition: EventDefinition<S>,
): EventContract<S, KindOf<A>, B, A> {
  const where = 'event()';
  expectDefinition(definition, '{ schema }', where);
  const place = placeIn(address, where) as Place<KindOf<A>, B>;
  expectSchema(definition.schema, 'schema', where);
  expectFunction(definition.key, where);
  return {
    [CONTRACT]: 'event',
    ...place,
    schema: definition.schema,
    reply: undefined,
    errors: {},
    many: false,
    key: definition.key,
  };
}

function expectDefinition(definition: unknown, expected: string, where: string): void {
  if (!isObject(definition))
    throw new SetupError(`${where}: expected a definition ${expected}, got ${got(definition)}`);
}

function expectFunction(key: unknown, where: string): void {
  if (key !== undefined) func(key, 'key', where);
}

export function isContract(value: unknown): value is Contract {
  return typeof value === 'object' && value !== null && CONTRACT in value;
}

/** Whether the contract is a call, which is answered. */
export function isRpc(contract: Contract): contract is RpcContract {
  return contract[CONTRACT] === 'rpc';
}

/** The contract's address, as errors and logs show it. */
export function placeOf(contract: Contract): string {
  return describe(targetOf(contract.address, 'contract'));
}

/**
 * For the handler's side: throws `error` again. If the contract declares it and its data does not
 * fit, throws `InvalidMessageError`. The data is sent as it is.
 */
export async function rethrow(contract: Contract, error: unknown): Promise<never> {
  await outputOfData(contract, error);
  throw error;
}

/**
 * For the caller's side: the error that the caller gets. If the contract declares it, its data is
 * replaced by the schema's output; it is an `InvalidMessageError` if the data does not fit.
 */
export async function declaredError(contract: Contract, error: unknown): Promise<unknown> {
  try {
    const output = await outputOfData(contract, error);
    return output === undefined ? error : Object.assign(error as RpcError, { data: output.data });
  } catch (invalid) {
    return invalid;
  }
}

/** What the contract's schema makes of an error's data; undefined for an error that the contract does not declare. */
async function outputOfData(
  contract: Contract,
  error: unknown,
): Promise<{ readonly data: unknown } | undefined> {
  if (!(error instanceof RpcError)) return undefined;
  const schema = contract.errors[error.code];
  if (schema === undefined) return undefined;
  const what = `the data of error ${error.code} of ${placeOf(contract)}`;
  return { data: await validator(schema, what)(error.data) };
}

/** The destination of a contract, for the side that sends. */
export function destinationOf({ kind, address }: Contract): Destination {
  if (kind === 'list') return { list: address['list'] as string };
  if (kind === 'channel') {
    const channel = address['channel'] as string;
    return address['sharded'] === true ? { channel, sharded: true } : { channel };
  }
  const { stream, maxlen } = address as { stream: string; maxlen?: number };
  return maxlen === undefined ? { stream } : { stream, maxlen };
}

/** Throws for a contract that is a pattern: it names no channel that could be sent to. */
export function refusePattern(contract: Contract, where: string): void {
  if (contract.address['pattern'] !== true) return;
  throw new SetupError(
    `${where}: the contract of ${placeOf(contract)} is a pattern, which only subscribers have: send to { channel: 'name' }`,
  );
}

/** Literal parts and names of parameters in turn of a contract's channel; undefined where it has no parameters. */
export function templateOf(
  { kind, address }: Pick<Contract, 'kind' | 'address'>,
  where: string,
): readonly string[] | undefined {
  const { channel, sharded, pattern } = address;
  if (kind !== 'channel' || sharded === true || pattern !== undefined) return undefined;
  let parts = templates.get(address);
  if (parts === undefined) {
    parts = templateParts(channel as string, where);
    templates.set(address, parts);
  }
  return parts.length > 1 ? parts : undefined;
}

/** By the address, which is that of one contract, made by this copy of the package or by another. */
const templates = new WeakMap<object, readonly string[]>();

/** Where a contract is, and what is known of it without its schemas. */
type Place<K extends Kind, B extends boolean> = Pick<
  AnyContract<K, B, unknown>,
  'address' | 'kind' | 'batch'
>;

function placeIn(given: unknown, where: string): Place<Kind, boolean> {
  const address: unknown = typeof given === 'string' ? { channel: given } : given;
  if (!isObject(address)) {
    throw new SetupError(
      `${where}: expected a channel's name or { channel }, { list } or { stream }, got ${got(given)}`,
    );
  }
  const { kind } = targetOf(address, where);
  const options = address as Readonly<Record<string, unknown>>;
  const own = ['timeout', 'pause'].find((key) => options[key] !== undefined);
  if (own !== undefined) {
    throw new SetupError(
      `${where}: '${own}' is not an option of a contract, each side has its own: give it to the call or to the subscriber`,
    );
  }
  checkOptions(options, CONTRACTS[kind], where, `a ${kind} contract`);
  templateOf({ kind, address: options }, where);
  return { address: options, kind, batch: options['batch'] === true };
}
