import { errorHandlersBy } from '../api/error-handlers.ts';
import {
  composeConsume,
  consumersIn,
  type HandlerFunction,
  type Middleware,
} from '../api/middleware.ts';
import type { Observers } from '../api/observer.ts';
import type { Route, Routes } from '../consume/dispatcher.ts';
import { withItems } from '../consume/batch-items.ts';
import { injecting } from '../consume/inject.ts';
import { defaultCodec } from '../message/codec.ts';
import { validator } from '../message/schema.ts';
import { Publisher } from '../publish/publisher.ts';
import type { Sender } from '../publish/sender.ts';
import { isAsyncFunction } from '../rpc/parent.ts';
import { Replier } from '../rpc/responder/replier.ts';
import type { Session } from '../rpc/session.ts';
import type { Report } from '../transport/source.ts';
import type { Member, Plan } from './plan.ts';
import type { Senders } from './senders.ts';

/** What handlers need of their broker. */
export interface RouteEnvironment {
  readonly observers: Observers;
  readonly senders: Senders;
  /** The broker's prefix: names in `ctx.publish` get it. */
  readonly prefix: string;
  readonly reportFor: (name: string) => Report;
  /** Whether an answer may be written to this list or stream. */
  readonly mayWrite: (kind: 'list' | 'stream', name: string) => boolean;
}

/** The handlers that share a reader, ready to run. */
export function routesOf(planned: Plan, session: Session, environment: RouteEnvironment): Routes {
  const [first] = planned.members as [Member, ...Member[]];
  const [one, ...others] = planned.members.map((member) =>
    route(member, planned, session, environment),
  ) as [Route, ...Route[]];
  return {
    all: [one, ...others],
    errorHandlers: errorHandlersBy(first.inherited.errorHandlers),
  };
}

function route(
  member: Member,
  planned: Plan,
  session: Session,
  { senders, observers, prefix, reportFor, mayWrite }: RouteEnvironment,
): Route {
  const { subscriber, inherited, info } = member;
  const { address, errorPolicy, replies, name } = planned;
  const { options } = subscriber.spec;
  const { filter, schema, reply, inject, onError = [] } = options;
  const { transport, inbox, answerLog, answerBundles, keptAnswers, idCalls } = session;
  const middlewares = middlewaresOf(member);
  const consumers = consumersIn(middlewares);
  const innermost = senders.innermost === undefined ? [] : consumersIn([senders.innermost]);
  const method = composeConsume(innermost, subscriber.handler);
  const handler: HandlerFunction =
    innermost.length === 0 ? subscriber.handler : (body, ctx) => method(ctx, body);
  const sender = senders.sender(prefix, () => middlewares);
  return {
    subscriber: info,
    sending: (parent) => sender.from(parent),
    replier: new Replier({
      encoder: senders.encoder(options),
      errorEncoder: senders.encoder({
        codec: defaultCodec,
        format: options.format ?? senders.format,
      }),
      transport,
      inbox,
      answerLog,
      answerBundles,
      keptAnswers,
      idCalls,
      keep: senders.keep,
      middlewares: senders.publishing(middlewares),
      observers,
      hidesErrors: errorPolicy === 'hide',
      inboxesOnly: replies === 'inboxes',
      mayWrite,
      report: reportFor(name),
    }),
    filter: filter === undefined ? undefined : (message) => !subscriber.stopped && filter(message),
    validate: schema === undefined ? undefined : validator(schema, `the message from ${address}`),
    validateReply: reply === undefined ? undefined : validator(reply, `the answer of ${address}`),
    invoke: composeConsume(
      consumers,
      injecting(inject, options.batch === true ? withItems(handler) : handler),
    ),
    isAsync:
      subscriber.isAsync || inject !== undefined || consumers.some(isAsyncFunction) || undefined,
    forwards: subscriber.publishers.map((spec) => {
      const { through, options: own } = spec;
      if (through !== undefined)
        return { forward: (result, more) => through.forward(result, more, own.batch) };
      const make = (): Sender => senders.sender(inherited.prefix, () => middlewares, own);
      return new Publisher(make, spec, () => inherited.prefix);
    }),
    errorHandlers: errorHandlersBy([...onError, ...inherited.errorHandlers]),
  };
}

/** All middleware of a subscriber: the broker's first, its own last. */
function middlewaresOf({ subscriber, inherited }: Member): readonly Middleware[] {
  return [...inherited.middlewares, ...(subscriber.spec.options.middlewares ?? [])];
}
