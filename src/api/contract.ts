import { RpcError } from '../errors.ts';
import { validator, type InputOf, type OutputOf, type Schema } from '../message/schema.ts';
import { describe, targetOf } from '../transport/address.ts';
import { schema as expectSchema } from './from-type.ts';

/** The address of a contract: a channel's name, a channel, a list or a stream. A stream can name the group that reads it. */
export type ContractAddress =
  | string
  | {
      readonly channel: string;
      readonly sharded?: boolean;
      readonly list?: never;
      readonly stream?: never;
      readonly group?: never;
    }
  | {
      readonly list: string;
      readonly channel?: never;
      readonly stream?: never;
      readonly group?: never;
    }
  | {
      readonly stream: string;
      readonly channel?: never;
      readonly list?: never;
      readonly group?: string;
    };

/** The declared errors of a call: by code, the schema of the error's data. */
export type ErrorSchemas = Readonly<Record<string, Schema>>;

/** The type of `errors` for a call that declares none. */
export type NoErrors = Readonly<Record<string, never>>;

const CONTRACT = Symbol.for('redstart:contract');

interface AnyContract {
  readonly [CONTRACT]: 'rpc' | 'event';
  /** The address as subscribers and publishers take it. */
  readonly address: Readonly<Record<string, unknown>>;
  readonly schema: Schema;
  readonly reply: Schema | undefined;
  readonly errors: ErrorSchemas;
  /** Whether the answer is a stream of items, each with the schema `reply`. */
  readonly many: boolean;
}

/** A call that caller and handler share. Made by {@link rpc}. */
export interface RpcContract<
  Request extends Schema = Schema,
  Reply extends Schema = Schema,
  Errors extends ErrorSchemas = ErrorSchemas,
  Many extends boolean = boolean,
> extends AnyContract {
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
export interface EventContract<S extends Schema = Schema> extends AnyContract {
  readonly [CONTRACT]: 'event';
  readonly schema: S;
}

export type Contract = RpcContract | EventContract;

export interface RpcDefinition<
  Request extends Schema,
  Reply extends Schema,
  Errors extends ErrorSchemas,
  Many extends boolean,
> {
  /** The schema of the request. The caller checks it before sending, and the handler on receipt. */
  request: Request;
  /** The schema of the answer, or of each item of a stream. The handler checks it before sending, and the caller on receipt. */
  reply: Reply;
  /**
   * The errors that the handler may throw with `contract.error(code, data)`: a schema of the data
   * for each code. Default: none.
   */
  errors?: Errors;
  /** The answer is a stream: the handler is an `async function*`, and callers use `broker.requestMany`. Default false. */
  many?: Many;
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
>(
  address: ContractAddress,
  definition: RpcDefinition<Request, Reply, Errors, Many>,
): RpcContract<Request, Reply, Errors, Many> {
  const where = 'rpc()';
  const { request, reply, errors = {} as Errors, many = false as Many } = definition;
  const checkedAddress = addressOf(address, where);
  expectSchema(request, 'request', where);
  expectSchema(reply, 'reply', where);
  for (const [code, schema] of Object.entries(errors))
    expectSchema(schema, `errors.${code}`, where);
  return {
    [CONTRACT]: 'rpc',
    address: checkedAddress,
    schema: request,
    reply,
    errors,
    many,
    error: (code, data, message = code) => new RpcError(code, message, data),
    is: (error, code): error is never => error instanceof RpcError && error.code === code,
  };
}

/** Describes a message without an answer once, for both sides to import. Throws `SetupError` for an invalid address or schema. */
export function event<S extends Schema>(
  address: ContractAddress,
  definition: { schema: S },
): EventContract<S> {
  const where = 'event()';
  const checkedAddress = addressOf(address, where);
  expectSchema(definition.schema, 'schema', where);
  return {
    [CONTRACT]: 'event',
    address: checkedAddress,
    schema: definition.schema,
    reply: undefined,
    errors: {},
    many: false,
  };
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
 * Throws `error` again. If the contract declares it, its data is first checked and replaced by the
 * schema's output; throws `InvalidMessageError` if the data does not fit.
 */
export async function rethrow(contract: Contract, error: unknown): Promise<never> {
  const schema = error instanceof RpcError ? contract.errors[error.code] : undefined;
  if (schema !== undefined && error instanceof RpcError) {
    const what = `the data of error ${error.code} of ${placeOf(contract)}`;
    Object.assign(error, { data: await validator(schema, what)(error.data) });
  }
  throw error;
}

function addressOf(address: ContractAddress, where: string): Readonly<Record<string, unknown>> {
  const destination = typeof address === 'string' ? { channel: address } : address;
  targetOf(destination, where);
  return destination;
}
