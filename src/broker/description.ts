import type { AckPolicy } from '../api/ack-policy.ts';
import type { Contract } from '../api/contract.ts';
import { isRpc } from '../api/contract.ts';
import type { ErrorPolicy } from '../api/addresses.ts';
import { jsonSchemaOf, type JsonSchema } from '../message/json-schema.ts';
import type { Schema } from '../message/schema.ts';
import type { PublisherSpec } from '../api/check.ts';
import { targetOf, type Kind } from '../transport/address.ts';
import type { Member, Plan } from './plan.ts';

/** Schemas as JSON Schema (draft-07), null where there is none. The schemas themselves are in `live`, which JSON leaves out. */
export interface DescribedSchemas {
  /** Of the body. */
  readonly schema: JsonSchema | null;
  /** Of the answer; of a streamed answer, each item. */
  readonly reply: JsonSchema | null;
  /** Of the data of each error that a contract declares, by its code. */
  readonly errors: Readonly<Record<string, JsonSchema | null>>;
  /** The schemas as they were given. Not enumerable. */
  readonly live: LiveSchemas;
}

export interface LiveSchemas {
  readonly schema: Schema | undefined;
  readonly reply: Schema | undefined;
  readonly errors: Readonly<Record<string, Schema>>;
}

/** One place that messages go to. */
export interface DescribedPlace {
  readonly kind: Kind;
  /** The full name, prefix included; a template stays as it was written. */
  readonly name: string;
  /** The parameters of a channel's template, in order; empty where the name is no template. */
  readonly parameters: readonly string[];
  readonly title: string | null;
  readonly description: string | null;
  /** Whether it was declared by `rpc()` or `event()`. */
  readonly contract: boolean;
  /** Whether the answer is a stream. */
  readonly many: boolean;
}

/** What one subscriber is, as plain data. */
export interface SubscriberDescription extends DescribedPlace, DescribedSchemas {
  readonly title: string;
  /** The name is a glob (`pattern: true`). */
  readonly pattern: boolean;
  readonly sharded: boolean;
  readonly group: string | null;
  readonly class: string | null;
  readonly method: string | null;
  /** Whether a caller gets an answer. */
  readonly answers: boolean;
  readonly batch: boolean;
  readonly reliable: boolean;
  readonly filtered: boolean;
  readonly concurrency: number;
  /** Whether messages of one key are handled in order. */
  readonly ordered: boolean;
  readonly rate: { readonly limit: number; readonly per: number } | null;
  readonly ackPolicy: AckPolicy;
  readonly errorPolicy: ErrorPolicy;
  readonly retry: {
    readonly maxDeliveries: number;
    /** Milliseconds, `function`, or null for the default. */
    readonly backoff: number | 'function' | null;
  } | null;
  /** Milliseconds for which the ids of handled messages are remembered; null: not at all. */
  readonly once: number | null;
  readonly deadLetter: {
    readonly kind: Kind;
    readonly name: string;
    readonly maxlen: number | null;
  } | null;
  /** Where the result is sent on to: `@publisher`. */
  readonly publishes: readonly PublisherDescription[];
}

/** What one publisher is, as plain data. */
export interface PublisherDescription extends DescribedPlace, DescribedSchemas {
  /** The full name of the place that answers are to go to. */
  readonly replyTo: { readonly kind: Kind; readonly name: string } | null;
}

/** What a broker reads and sends: `broker.describe()`. JSON.stringify writes all of it but the live schemas. */
export interface Description {
  readonly subscribers: readonly SubscriberDescription[];
  /** Of `broker.publisher`, of routers' publishers and of `clientFor`. Those of methods are with their subscriber. */
  readonly publishers: readonly PublisherDescription[];
}

/** A publisher, and the prefix that its broker and routers put before its names. */
export interface DeclaredPublisher {
  readonly spec: PublisherSpec;
  readonly prefix: string;
}

export function describeAll(
  plans: readonly Plan[],
  publishers: readonly DeclaredPublisher[],
  contracts: readonly Contract[],
  prefix: string,
): Description {
  return {
    subscribers: plans.flatMap((planned) =>
      planned.members.map((member) => describeSubscriber(planned, member)),
    ),
    publishers: [
      ...publishers.map(describePublisher),
      ...contracts.map((contract) => describeContract(contract, prefix)),
    ],
  };
}

function describeSubscriber(planned: Plan, member: Member): SubscriberDescription {
  const { subscriber, info, inherited } = member;
  const { options, contract, name, kind } = subscriber.spec;
  const { retry, deadLetter, noReply, concurrency, ordered, ackPolicy, errorPolicy, batch } =
    planned;
  return withSchemas(
    {
      kind,
      name: info.name,
      parameters: kind === 'channel' && options.pattern !== false ? parametersOf(name) : [],
      title: info.title,
      description: info.description ?? null,
      contract: contract !== undefined,
      many: contract?.many ?? false,
      pattern: options.pattern ?? false,
      sharded: options.sharded ?? false,
      group: info.group ?? null,
      class: info.class ?? null,
      method: info.method ?? null,
      answers: !noReply && (contract === undefined || isRpc(contract)),
      batch: batch !== undefined,
      reliable: options.reliable ?? false,
      filtered: options.filter !== undefined,
      concurrency,
      ordered,
      rate: options.rate ?? null,
      ackPolicy,
      errorPolicy,
      retry:
        retry === undefined
          ? null
          : {
              maxDeliveries: retry.maxDeliveries,
              backoff: typeof retry.backoff === 'function' ? 'function' : (retry.backoff ?? null),
            },
      once: planned.once ?? null,
      deadLetter:
        deadLetter === undefined
          ? null
          : { kind: deadLetter.kind, name: deadLetter.name, maxlen: deadLetter.maxlen ?? null },
      publishes: subscriber.publishers.map((spec) =>
        describePublisher({ spec, prefix: spec.through?.prefix ?? inherited.prefix }),
      ),
    },
    { schema: options.schema, reply: options.reply, errors: contract?.errors ?? {} },
  );
}

function describePublisher({ spec, prefix }: DeclaredPublisher): PublisherDescription {
  const { kind, name } = targetOf(spec.destination, 'publisher');
  const { contract } = spec;
  const { title, description, schema, replyTo } = {
    ...(contract?.address as { title?: string; description?: string } | undefined),
    ...spec.options,
  };
  const answer =
    replyTo === undefined
      ? undefined
      : targetOf(typeof replyTo === 'string' ? { channel: replyTo } : replyTo, 'publisher');
  return withSchemas(
    {
      kind,
      name: prefix + name,
      parameters: (spec.template ?? []).filter((_, i) => i % 2 === 1),
      title: title ?? null,
      description: description ?? null,
      contract: contract !== undefined,
      many: contract?.many ?? false,
      replyTo: answer === undefined ? null : { kind: answer.kind, name: prefix + answer.name },
    },
    { schema, reply: contract?.reply, errors: contract?.errors ?? {} },
  );
}

/** What a broker sends by a contract: `clientFor`. */
function describeContract(contract: Contract, prefix: string): PublisherDescription {
  const { kind, name } = targetOf(contract.address, 'contract');
  const { schema, reply, errors, many, address } = contract;
  return withSchemas(
    {
      kind,
      name: prefix + name,
      // It has no `path`: a message goes to the name as it is written.
      parameters: [],
      title: (address['title'] as string | undefined) ?? null,
      description: (address['description'] as string | undefined) ?? null,
      contract: true,
      many,
      replyTo: null,
    },
    { schema, reply, errors },
  );
}

function withSchemas<P extends object>(place: P, live: LiveSchemas): P & DescribedSchemas {
  const described = {
    ...place,
    schema: jsonSchemaOf(live.schema),
    reply: jsonSchemaOf(live.reply),
    errors: Object.fromEntries(
      Object.entries(live.errors).map(([code, schema]) => [code, jsonSchemaOf(schema)]),
    ),
  };
  return Object.defineProperty(described, 'live', { value: live, enumerable: false }) as P &
    DescribedSchemas;
}

/** `logs.{level}` → level */
function parametersOf(name: string): string[] {
  return [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
}
