import { DeadLetterBox } from '../consume/dead-letters.ts';
import { deadLetterTarget, type DeadLetterAddress } from '../api/delivery.ts';
import { Endpoint } from '../consume/running-subscriber.ts';
import type { Surroundings } from '../api/context.ts';
import { DeadLetters } from '../consume/dead-letter-writer.ts';
import { injecting } from '../consume/inject.ts';
import { errorHandlersBy } from '../api/error-handlers.ts';
import {
  composeConsume,
  consumersIn,
  publishersIn,
  type HandlerFunction,
  type Middleware,
} from '../api/middleware.ts';
import { Pipeline, type Route } from '../consume/dispatcher.ts';
import { isAsyncFunction } from '../rpc/deadline.ts';
import { defaultCodec, type Codec } from '../message/codec.ts';
import { binaryFormat, type MessageFormat } from '../message/format.ts';
import { validator, type Schema } from '../message/schema.ts';
import type { BrokerOptions } from '../api/options.ts';
import type { Member, Plan } from './plan.ts';
import type { PublishCommand, PublishMiddleware } from '../api/command.ts';
import { Encoder } from '../message/encoder.ts';
import { Publisher, type PublisherSpec } from '../publish/publisher.ts';
import type { Formats } from './router.ts';
import type { Subscriber } from './subscriber.ts';
import { Replier } from '../rpc/responder/replier.ts';
import { Sender } from '../publish/sender.ts';
import type { Line } from '../rpc/session.ts';
import type { Delivery, Report } from '../transport/transport.ts';

/** What a builder needs of the broker that it builds for. */
export interface BuilderHost {
  readonly options: BrokerOptions;
  readonly surroundings: Surroundings;
  readonly line: () => Line | Promise<Line>;
  readonly reportFor: (name: string) => Report;
  readonly onExpired: () => void;
  /** Whether nobody but this plan's subscriber could answer a message here. */
  readonly isLastResort: (planned: Plan, delivery: Delivery) => boolean | Promise<boolean>;
}

/** Sees what is handled and sent, from inside all middleware: for tests. */
export interface Tap {
  handler(subscriber: Subscriber, handler: HandlerFunction): HandlerFunction;
  publish(command: PublishCommand, next: () => Promise<unknown>): Promise<unknown>;
}

/** Puts the layers together: senders, publishers, and for every plan its endpoint and pipeline. */
export class Builder {
  /** Undefined but in tests. What is built while there is one asks it, or its successor. */
  tap: Tap | undefined;
  readonly #host: BuilderHost;
  readonly #codec: Codec;
  readonly #format: MessageFormat;

  constructor(host: BuilderHost) {
    this.#host = host;
    this.#codec = host.options.codec ?? defaultCodec;
    this.#format = host.options.format ?? binaryFormat;
  }

  readonly #tapped: PublishMiddleware = (command, next) =>
    this.tap === undefined ? next() : this.tap.publish(command, next);

  #publishers(middlewares: readonly Middleware[]): PublishMiddleware[] {
    const publishers = publishersIn(middlewares);
    return this.tap === undefined ? publishers : [...publishers, this.#tapped];
  }

  sender(formats: Formats, prefix: string, middlewares: () => readonly Middleware[]): Sender {
    const { timeout } = this.#host.options.rpc ?? {};
    return new Sender({
      line: this.#host.line,
      encoder: this.#encoder(formats),
      prefix,
      middlewares: () => this.#publishers(middlewares()),
      timeout: timeout === undefined ? 30_000 : timeout,
    });
  }

  publisher(
    spec: PublisherSpec,
    prefix: string,
    middlewares: () => readonly Middleware[],
  ): Publisher<Schema, unknown> {
    return new Publisher(() => this.sender(spec.options, prefix, middlewares), spec);
  }

  deadLetters(address: DeadLetterAddress, prefix: string): DeadLetterBox {
    return new DeadLetterBox(deadLetterTarget(address, prefix, 'deadLetters'), {
      transport: async () => (await this.#host.line()).transport,
      codec: this.#codec,
      format: this.#format,
    });
  }

  endpoint(planned: Plan, { transport, inbox, takenCalls, answers, streams }: Line): Endpoint {
    const { name, members, noReply, ackPolicy, concurrency, batch, fetch, errors } = planned;
    const { retry, deadLetter } = planned;
    const { subscriber, middlewares } = members[0] as Member;
    const { format, group } = subscriber.spec.options;
    const replier = new Replier({
      encoder: this.#encoder(subscriber.spec.options),
      errorEncoder: new Encoder(defaultCodec, format ?? this.#format),
      transport,
      inbox,
      answers,
      middlewares: this.#publishers(middlewares),
      hidesErrors: errors === 'hide',
    });
    const { surroundings, options, onExpired, isLastResort } = this.#host;
    return new Endpoint({
      name,
      surroundings,
      sender: this.sender({}, options.prefix ?? '', () => middlewares),
      replier,
      takenCalls,
      answers,
      streams,
      onExpired,
      noReply,
      settling: {
        policy: ackPolicy,
        retry,
        deadLetters:
          deadLetter && new DeadLetters(transport, deadLetter, format ?? this.#format, group),
      },
      concurrency,
      batch,
      fetch,
      isLastResort: (delivery) => isLastResort(planned, delivery),
      adviceOn: (error) => transport.adviceOn(error),
      report: this.#host.reportFor(name),
    });
  }

  pipeline(planned: Plan, endpoint: Endpoint): Pipeline {
    const { source, pattern, address, members } = planned;
    const { options } = (members[0] as Member).subscriber.spec;
    return new Pipeline({
      address,
      source: pattern?.isPattern === true ? undefined : ({ [source.kind]: source.name } as never),
      match: pattern?.match,
      codec: options.codec ?? this.#codec,
      format: options.format ?? this.#format,
      routes: members.map((member) => this.#route(member, address)),
      errorHandlers: errorHandlersBy((members[0] as Member).outerErrorHandlers),
      host: endpoint,
    });
  }

  #route({ subscriber, middlewares, prefix, outerErrorHandlers }: Member, address: string): Route {
    const { filter, schema, reply, inject, onError = [] } = subscriber.spec.options;
    const consumers = consumersIn(middlewares);
    return {
      filter:
        filter === undefined ? undefined : (message) => !subscriber.stopped && filter(message),
      validate: schema === undefined ? undefined : validator(schema, `the message from ${address}`),
      validateReply: reply === undefined ? undefined : validator(reply, `the answer of ${address}`),
      invoke: composeConsume(
        consumers,
        injecting(inject, this.tap?.handler(subscriber, subscriber.handler) ?? subscriber.handler),
      ),
      isAsync: subscriber.isAsync || inject !== undefined || consumers.some(isAsyncFunction),
      onward: subscriber.publishers.map((spec) => this.publisher(spec, prefix, () => middlewares)),
      errorHandlers: errorHandlersBy([...onError, ...outerErrorHandlers]),
    };
  }

  #encoder({ codec = this.#codec, format = this.#format }: Formats): Encoder {
    return new Encoder(codec, format);
  }
}
