import { RpcError } from '../errors.ts';
import { schema as expectSchema } from './from-type.ts';
import { validator, type InputOf, type OutputOf, type Schema } from '../message/schema.ts';
import { describe, targetOf } from '../transport/address.ts';

/** Where a contract's messages go; a stream may name the group that reads it. */
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

/** The errors of a call: a schema of their data for each code. */
export type ErrorSchemas = Readonly<Record<string, Schema>>;

/** Of a call that declares no errors. */
export type NoErrors = Readonly<Record<string, never>>;

const CONTRACT = Symbol.for('redstart:contract');

interface AnyContract {
  readonly [CONTRACT]: 'rpc' | 'event';
  /** The place as subscribers and publishers both understand it. */
  readonly address: Readonly<Record<string, unknown>>;
  readonly schema: Schema;
  readonly reply: Schema | undefined;
  readonly errors: ErrorSchemas;
  /** Whether the answer is a stream of `reply`s. */
  readonly many: boolean;
}

/** A call that both sides agree on: made by {@link rpc}. */
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
  /** An error of this call, for the handler to throw. */
  error<Code extends keyof Errors & string>(
    code: Code,
    data: InputOf<Errors[Code]>,
    message?: string,
  ): RpcError<Code, InputOf<Errors[Code]>>;
  /** Whether something that a call rejected with is this error of the contract. */
  is<Code extends keyof Errors & string>(
    error: unknown,
    code: Code,
  ): error is RpcError<Code, OutputOf<Errors[Code]>>;
}

/** A message that both sides agree on: made by {@link event}. */
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
  /** What is sent. Checked by the caller before it is sent, and by the handler. */
  request: Request;
  /** What is answered; of a stream, each item. Checked by the handler before it is sent, and by the caller. */
  reply: Reply;
  /** The data of each error that the handler may throw by `contract.error(code, data)`. */
  errors?: Errors;
  /** The handler is an `async function*`, and is called by `broker.requestMany`. Default false. */
  many?: Many;
}

/**
 * A call as a value that both sides import: `@subscriber(contract)` checks the method against it,
 * and `publish`, `request`, `requestMany` and `clientFor` infer from it. Throws `SetupError` for an
 * address or a schema that is none.
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
  const place = addressOf(address, where);
  expectSchema(request, 'request', where);
  expectSchema(reply, 'reply', where);
  for (const [code, schema] of Object.entries(errors))
    expectSchema(schema, `errors.${code}`, where);
  return {
    [CONTRACT]: 'rpc',
    address: place,
    schema: request,
    reply,
    errors,
    many,
    error: (code, data, message = code) => new RpcError(code, message, data),
    is: (error, code): error is never => error instanceof RpcError && error.code === code,
  };
}

/** A message as a value that both sides import; nobody answers it. */
export function event<S extends Schema>(
  address: ContractAddress,
  definition: { schema: S },
): EventContract<S> {
  const where = 'event()';
  const place = addressOf(address, where);
  expectSchema(definition.schema, 'schema', where);
  return {
    [CONTRACT]: 'event',
    address: place,
    schema: definition.schema,
    reply: undefined,
    errors: {},
    many: false,
  };
}

export function isContract(value: unknown): value is Contract {
  return typeof value === 'object' && value !== null && CONTRACT in value;
}

/** Whether somebody answers. */
export function isRpc(contract: Contract): contract is RpcContract {
  return contract[CONTRACT] === 'rpc';
}

/** How errors and logs name the contract's place. */
export function placeOf(contract: Contract): string {
  return describe(targetOf(contract.address, 'contract'));
}

/**
 * What a contract makes of an error that was thrown or received: the data of one that it declares
 * is checked. Throws whatever is to be thrown on.
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
  const place = typeof address === 'string' ? { channel: address } : address;
  targetOf(place, where);
  return place;
}
