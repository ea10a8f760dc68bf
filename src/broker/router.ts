import { record, type DecoratorArguments, type Intent } from '../api/metadata.ts';
import type { HandlerDecorator } from '../api/decorators.ts';
import type {
  AddressFor,
  AnySchema,
  Handler,
  HandlerFor,
  OptionsFor,
  PathOf,
  PublisherOptionsFor,
} from '../api/handlers.ts';
import { SetupError, brand, brandOf, isInstance } from '../errors.ts';
import type { MessageContext, NoInjections } from '../api/context.ts';
import type { PlaceOf } from '../api/contract.ts';
import type { Injections } from '../api/inject.ts';
import {
  checkErrorHandlers,
  onError,
  type ErrorClass,
  type ErrorHandler,
} from '../api/error-handlers.ts';
import { checkMiddleware, type HandlerFunction, type Middleware } from '../api/middleware.ts';
import type { Schema } from '../message/schema.ts';
import type { BrokerOptions, PublisherOptions, RouterOptions } from '../api/options.ts';
import {
  checkRouterOptions,
  publisherSpec,
  subscriberSpec,
  type PublisherSpec,
} from '../api/check.ts';
import { got } from '../internal/checks.ts';
import { Publisher } from '../publish/publisher.ts';
import type { DestinationFor } from '../api/publishing.ts';
import type { Kind } from '../transport/address.ts';
import type { DeclaredPublisher } from './description.ts';
import { over } from './failure-plan.ts';
import { checkDecorated, handlersOf, instantiate } from './handlers-of.ts';
import { onlyPlace, type Place } from './place.ts';
import { Subscriber, type Declaration, type Inherited } from './subscriber.ts';

const NOTHING_INHERITED: Inherited = {
  prefix: '',
  middlewares: [],
  errorHandlers: [],
  defaults: {},
  failures: {},
};

/** What brokers and routers have in common: they are where handlers are registered. */
export abstract class Router {
  /** @internal */
  readonly shared: RouterOptions & Pick<BrokerOptions, 'trimPast'>;
  /** @internal */
  readonly middlewares: Middleware[];
  /** @internal */
  readonly errorHandlers: ErrorHandler[];
  readonly #subscribers = new Set<Subscriber>();
  readonly #publishers: PublisherSpec[] = [];
  /** How many subscribers of each registered instance have not been stopped. */
  readonly #instances = new Map<object, number>();
  /** What was handed down last, by what came from outside. */
  readonly #handedDown = new WeakMap<Inherited, Inherited>();
  readonly #included: Router[] = [];
  /** The router that this one was made for by `include(router, options)`. */
  #around: Router | undefined;
  /** Methods under this router's own decorators, until an instance of their class is registered. */
  readonly #unclaimed = new Set<Intent>();

  constructor(options: RouterOptions) {
    this.shared = options;
    this.middlewares = [...(options.middlewares ?? [])];
    this.errorHandlers = [...(options.onError ?? [])];
  }

  /**
   * Connects the handler methods of instances; a class is instantiated first, without arguments.
   * Throws `SetupError` for a class without handlers, and for a wrong option of a handler.
   */
  register(...instances: object[]): void {
    for (const given of instances) {
      const instance = typeof given === 'function' ? instantiate(given as new () => object) : given;
      if (typeof instance !== 'object' || instance === null) {
        throw new SetupError(`register: expected an instance or a class, got ${got(instance)}`);
      }
      if (this.#instances.has(instance)) continue;
      const { subscribers, claimed } = handlersOf(instance, this);
      this.#add(subscribers);
      for (const intent of claimed) this.#unclaimed.delete(intent);
    }
  }

  /** Subscribes a function to an address or a contract. After the broker's start it is connected at once. */
  subscriber<
    const A,
    S extends Schema = AnySchema,
    R extends Schema = AnySchema,
    B extends boolean = false,
    I extends Injections = NoInjections,
    Many extends boolean = false,
    K extends Kind = never,
  >(
    address: AddressFor<A, S, R, B, I, Many, K>,
    handler: HandlerFor<A, S, R, B, I, Many>,
  ): Subscriber;
  subscriber<
    const A,
    S extends Schema = AnySchema,
    R extends Schema = AnySchema,
    B extends boolean = false,
    I extends Injections = NoInjections,
    Many extends boolean = false,
    K extends Kind = never,
    O extends boolean = B,
    const P = unknown,
  >(
    address: AddressFor<A, S, R, B, I, Many, K>,
    options: OptionsFor<A, S, R, I, K, O, P> | undefined,
    handler: HandlerFor<A, S, R, O, I, Many>,
  ): Subscriber;
  /** A method decorator like `@subscriber`, for this broker or router only. */
  subscriber<
    const A,
    S extends Schema = AnySchema,
    R extends Schema = AnySchema,
    B extends boolean = false,
    I extends Injections = NoInjections,
    Many extends boolean = false,
    K extends Kind = never,
    O extends boolean = B,
    const P = unknown,
  >(
    address: AddressFor<A, S, R, B, I, Many, K>,
    options?: OptionsFor<A, S, R, I, K, O, P>,
  ): HandlerDecorator<Handler<S, R, O, I, Many, PathOf<PlaceOf<A>>>>;
  // The first again: of several, the compiler explains the last.
  subscriber<
    const A,
    S extends Schema = AnySchema,
    R extends Schema = AnySchema,
    B extends boolean = false,
    I extends Injections = NoInjections,
    Many extends boolean = false,
    K extends Kind = never,
  >(
    address: AddressFor<A, S, R, B, I, Many, K>,
    handler: HandlerFor<A, S, R, B, I, Many>,
  ): Subscriber;
  subscriber(address: unknown, ...rest: unknown[]): unknown {
    const [options, handler] = typeof rest[0] === 'function' ? [undefined, rest[0]] : rest;
    if (rest.length < 2 && handler === undefined) {
      checkDecorated(address, options);
      return (...args: unknown[]): void => {
        const intent = { type: 'subscriber', address, options, owner: this } as const;
        this.#unclaimed.add(record(intent, 'subscriber', args as DecoratorArguments));
      };
    }
    if (typeof handler !== 'function') {
      throw new SetupError(`subscriber: the handler must be a function, got ${got(handler)}`);
    }
    const spec = subscriberSpec(address, options, 'subscriber');
    const added = new Subscriber(spec, handler.name || 'handler', handler as HandlerFunction, [], {
      original: handler,
    });
    this.#add([added]);
    return added;
  }

  /**
   * Includes a router's subscribers under this one's prefix and defaults. `options` come between the
   * two: a prefix before that of the router, middleware around it, defaults. Including it again with the same
   * prefix changes nothing.
   */
  include(router: RedisRouter, options?: RouterOptions): void {
    if (options !== undefined) {
      const { prefix = '' } = options;
      const isThere = this.#included.some(
        (one) => one.#around === router && (one.shared.prefix ?? '') === prefix,
      );
      if (isThere) return;
      const between = new RedisRouter(options);
      between.include(router);
      between.#around = router;
      try {
        this.include(between);
      } catch (error) {
        // The router is as it was, so that another attempt may be made.
        router.parents.splice(router.parents.indexOf(between), 1);
        throw error;
      }
      return;
    }
    if (brandOf(router) !== 'RedisRouter') {
      throw new SetupError(`include: expected a RedisRouter, got ${got(router)}`);
    }
    // The private fields of another version's router are not known here, but these methods are all that is used.
    const missing = ROUTER.find((name) => typeof router[name] !== 'function');
    if (missing !== undefined) {
      throw new SetupError(
        `include: the router is of another copy of redstart, whose version does not fit (it has no '${missing}'): install one version`,
      );
    }
    if (router.includes(this)) throw new SetupError('include: a router cannot include itself');
    if (this.#included.includes(router)) return;
    const start = this.prepare((inherited) => router.declarations(inherited));
    this.#included.push(router);
    router.parents.push(this);
    start();
  }

  /** Adds middleware inside the existing middleware. Call it before `start`. */
  use(middleware: Middleware): void {
    checkMiddleware(middleware, 'use');
    this.middlewares.push(middleware);
  }

  /**
   * Answers for errors of a class and its subclasses in all handlers here and below, and for messages
   * that cannot be read (`DecodeError`, `InvalidMessageError`). If several fit, the one for the most specific class
   * runs. Call it before `start`. Throws `SetupError` if it is not a class of errors, and for a
   * second handler of one class.
   */
  onError<E extends Error>(
    type: ErrorClass<E>,
    handle: (error: E, ctx: MessageContext) => unknown,
  ): void {
    const added = onError(type, handle);
    checkErrorHandlers([...this.errorHandlers, added], 'onError');
    this.errorHandlers.push(added);
  }

  /** Sends to one destination with its own defaults. The publisher of a router uses the broker that includes the router when the first message is sent. */
  publisher<const To, S extends Schema = AnySchema>(
    address: DestinationFor<To, S>,
    options?: PublisherOptionsFor<To, S>,
  ): Publisher<S, To>;
  publisher(address: unknown, options?: PublisherOptions): unknown {
    const spec = publisherSpec(address, options, 'publisher');
    this.#publishers.push(spec);
    const findPrefix = (): string => this.placesOf()[0]?.prefix ?? '';
    return new Publisher(() => onlyPlace(this.placesOf(), spec.options), spec, findPrefix);
  }

  /**
   * The subscribers of an instance, or of all instances of a class, here and in included routers, to
   * pause, resume or stop them. Empty if it was not registered.
   */
  subscribersOf(handlers: object): Subscriber[] {
    const isMeant = ({ instance }: Subscriber['origin']): boolean =>
      instance !== undefined &&
      (instance === handlers ||
        (typeof handlers === 'function' && instance.constructor === handlers));
    return [
      ...[...this.#subscribers].filter(({ origin }) => isMeant(origin)),
      ...this.#included.flatMap((router) => router.subscribersOf(handlers)),
    ];
  }

  /** Every publisher that was made here or below, with the prefix of its names. @internal */
  declaredPublishers(outer: Inherited = NOTHING_INHERITED): DeclaredPublisher[] {
    const inherited = this.handedDown(outer);
    return [
      ...this.#publishers.map((spec) => ({ spec, prefix: inherited.prefix })),
      ...this.#included.flatMap((router) => router.declaredPublishers(inherited)),
    ];
  }

  /**
   * Checks what is about to be added here against what runs in the brokers above. Throws `SetupError`
   * where it does not fit; else the result starts it in those that are started. `declare` gets what
   * this hands down. @internal
   */
  abstract prepare(declare: (inherited: Inherited) => Declaration[]): () => void;

  /** Where this is, seen from every broker that it belongs to. @internal */
  abstract placesOf(): Place[];

  /**
   * Every subscriber here and below with what it inherits: prefix, defaults, middleware and error
   * handlers. Throws for decorated methods that nobody registered. @internal
   */
  declarations(outer: Inherited = NOTHING_INHERITED): Declaration[] {
    const [unclaimed] = this.#unclaimed;
    if (unclaimed !== undefined) {
      throw new SetupError(
        `method '${String(unclaimed.method)}' is decorated with a broker's or router's @subscriber, but no instance of its class is registered there: call register(new …())`,
      );
    }
    const inherited = this.handedDown(outer);
    return [
      ...[...this.#subscribers].map((subscriber) => ({ subscriber, inherited })),
      ...this.#included.flatMap((router) => router.declarations(inherited)),
    ];
  }

  /** What subscribers here inherit: this router's own settings over those from outside. @internal */
  handedDown(outer: Inherited = NOTHING_INHERITED): Inherited {
    const known = this.#handedDown.get(outer);
    const { middlewares: around, errorHandlers: handling } = this;
    // Both only grow. The same object as before lets plans be made once.
    const isAsBefore =
      known?.middlewares.length === outer.middlewares.length + around.length &&
      known.errorHandlers.length === outer.errorHandlers.length + handling.length;
    if (known !== undefined && isAsBefore) return known;
    const made = this.#handDown(outer);
    this.#handedDown.set(outer, made);
    return made;
  }

  #handDown(outer: Inherited): Inherited {
    const { prefix: own = '', concurrency, errorPolicy, replies, trimPast } = this.shared;
    const { defaults } = outer;
    const prefix = outer.prefix + own;
    return {
      prefix,
      middlewares: [...outer.middlewares, ...this.middlewares],
      errorHandlers: [...this.errorHandlers, ...outer.errorHandlers],
      defaults: {
        concurrency: concurrency ?? defaults.concurrency,
        errorPolicy: errorPolicy ?? defaults.errorPolicy,
        replies: replies ?? defaults.replies,
        trimPast: trimPast ?? defaults.trimPast,
      },
      failures: over(outer.failures, this.shared, prefix, 'deadLetter'),
    };
  }

  /** Whether `other` is this router or is included in it, however deep. @internal */
  includes(other: Router): boolean {
    return this === other || this.#included.some((router) => router.includes(other));
  }

  /** Adds subscribers, of one instance or of none; none of them where a broker that runs refuses one. */
  #add(added: readonly Subscriber[]): void {
    const start = this.prepare((inherited) =>
      added.map((subscriber) => ({ subscriber, inherited })),
    );
    for (const subscriber of added) {
      const { instance } = subscriber.origin;
      this.#subscribers.add(subscriber);
      if (instance !== undefined)
        this.#instances.set(instance, (this.#instances.get(instance) ?? 0) + 1);
      subscriber.onStop = () => this.#remove(subscriber);
    }
    start();
  }

  #remove(subscriber: Subscriber): void {
    const { instance } = subscriber.origin;
    this.#subscribers.delete(subscriber);
    if (instance === undefined) return;
    const left = (this.#instances.get(instance) ?? 0) - 1;
    if (left > 0) this.#instances.set(instance, left);
    else this.#instances.delete(instance);
  }
}

/** The methods that a router calls of one that it includes. */
const ROUTER = ['includes', 'declarations', 'prepare', 'placesOf'] as const;

/** Subscribers with a common prefix and common defaults. Include it in a broker or another router. */
export class RedisRouter extends Router {
  /** What it was included in. @internal */
  readonly parents: Router[] = [];

  constructor(options: RouterOptions = {}) {
    checkRouterOptions(options);
    super(options);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }

  static {
    brand(this, 'RedisRouter');
  }

  /** @internal */
  override prepare(declare: (inherited: Inherited) => Declaration[]): () => void {
    const starts = this.parents.map((parent) =>
      parent.prepare((outer) => declare(this.handedDown(outer))),
    );
    return () => {
      for (const start of starts) start();
    };
  }

  /** @internal */
  override placesOf(): Place[] {
    return this.parents
      .flatMap((parent) => parent.placesOf())
      .map(({ senders, prefix, middlewares }) => ({
        senders,
        prefix: prefix + (this.shared.prefix ?? ''),
        middlewares: [...middlewares, ...this.middlewares],
      }));
  }
}
