/** Parameters of handlers: their decorators, and what Nest is told of those without one. */
import 'reflect-metadata';
import {
  createParamDecorator,
  type ExecutionContext,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import { subscriber, type MessageContext } from '../../index.ts';

// Where Nest keeps the decorators of parameters, and the numbers by which it knows the kinds of
// HTTP's and of @nestjs/microservices. Its pipes take 3 for the body.
const PARAMETERS = '__routeArguments__';
const CUSTOM = '__customRouteArgs__';
const BODY = 3;
const CONTEXT = 6;

/** Where the parameters of a handler are that redstart gives Nest. */
export const PARAMETERS_KEY = 'redstart:parameters';

export type Pipe = PipeTransform | Type<PipeTransform>;

/**
 * `@subscriber` for a method whose parameters have decorators: the compiler does not compare them with the
 * body and the context. Takes what `subscriber` takes.
 */
export const Subscribe: (...args: Parameters<typeof subscriber>) => MethodDecorator = (...args) =>
  subscriber(...args) as MethodDecorator;

interface Parameter {
  readonly index: number;
  readonly data?: unknown;
  readonly pipes?: readonly Pipe[];
  readonly factory?: (data: unknown, host: ExecutionContext) => unknown;
}

/**
 * The body, or one property of it, through pipes: `@Payload()`, `@Payload('sku')`, `@Payload(ParseIntPipe)`. A
 * handler needs it only for pipes of one parameter: the first parameter is the body anyhow.
 */
export function Payload(...given: [property: string, ...Pipe[]] | Pipe[]): ParameterDecorator {
  const [first, ...rest] = given;
  const [data, pipes] = typeof first === 'string' ? [first, rest] : [undefined, given];
  return (prototype, method, index) => {
    const type = prototype.constructor;
    const known = parametersOf(type, method as string | symbol) ?? {};
    const parameter: Parameter = { index, data, pipes: pipes as Pipe[] };
    const all = { ...known, [`${BODY}:${index}`]: parameter };
    Reflect.defineMetadata(PARAMETERS, all, type, method as string | symbol);
  };
}

/** The message's context, {@link MessageContext}: a handler's second parameter, also without this. */
export const Ctx: () => ParameterDecorator = createParamDecorator(
  (_: unknown, host: ExecutionContext) => messageContextOf(host),
);

/** A header of the message: `@Header('x-region')`. */
export const Header: (name: string) => ParameterDecorator = createParamDecorator(
  (name: string, host: ExecutionContext) => messageContextOf(host).message.headers[name],
);

function messageContextOf(host: ExecutionContext): MessageContext {
  return host.getArgByIndex<MessageContext>(1);
}

function parametersOf(
  type: object,
  method: string | symbol,
): Readonly<Record<string, Parameter>> | undefined {
  return Reflect.getMetadata(PARAMETERS, type, method) as
    | Readonly<Record<string, Parameter>>
    | undefined;
}

export function hasParameters(type: object, method: string | symbol): boolean {
  return parametersOf(type, method) !== undefined;
}

/**
 * Tells Nest all parameters of a method: those with decorators, and of those without, the body as the first
 * and the context as the second. Otherwise pipes would not run, and the others would be null.
 */
export function completeParameters(type: object, method: string | symbol, length: number): void {
  const given = parametersOf(type, method) ?? {};
  const taken = new Set(Object.values(given).map(({ index }) => index));
  const missing: Record<string, Parameter> = {};
  if (!taken.has(0)) missing[`${BODY}:0`] = { index: 0, pipes: [] };
  if (!taken.has(1) && length > 1)
    missing[`redstart${CUSTOM}:1`] = {
      index: 1,
      pipes: [],
      factory: (_, host) => messageContextOf(host),
    };
  Reflect.defineMetadata(PARAMETERS_KEY, { ...given, ...missing }, type, method);
}

/** What Nest asks for the value of a parameter. */
export const parameters = {
  exchangeKeyForValue(kind: number, property: unknown, [body, ctx]: unknown[]): unknown {
    if (kind === CONTEXT) return ctx;
    if (kind !== BODY) return undefined;
    if (typeof property !== 'string') return body;
    return (body as Readonly<Record<string, unknown>> | null | undefined)?.[property];
  },
};
