import type { PublisherSpec } from '../api/check.ts';
import { isRpc } from '../api/contract.ts';
import type { MessageOptions } from '../api/message-options.ts';
import type { Message } from '../api/message.ts';
import type { AnswerOf, BatchResult, GatherResult, PublishResult } from '../api/publishing.ts';
import type {
  GatherBody,
  PublisherBatchOptions,
  PublisherGatherOptions,
  PublisherPublishOptions,
  PublisherRequestManyOptions,
  PublisherRequestOptions,
  RequestManyBody,
} from '../api/publisher-calls.ts';
import { SetupError, brand } from '../errors.ts';
import { got } from '../internal/checks.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import { describe, targetOf } from '../transport/address.ts';
import { filled } from './template.ts';
import type { CollectedByPublisher } from './collected.ts';
import { keyBeside, keyIn } from './keys.ts';
import { LazyStream } from './lazy-stream.ts';
import type { Sender } from './sender.ts';

/** Options of one message, with the values of the parameters of a template. */
interface SentOptions extends MessageOptions {
  path?: Readonly<Record<string, string>> | undefined;
}

/** Sends to one address with its own default options: `broker.publisher(address, options)`. */
export class Publisher<S extends Schema, To> {
  /** What is published is checked by it. */
  readonly schema: S | undefined;
  /** @internal */
  readonly spec: PublisherSpec;
  readonly #findSender: () => Sender;
  readonly #findPrefix: () => string;
  #cachedSender: Sender | undefined;

  /** `findSender` is called at the first message. @internal */
  constructor(findSender: () => Sender, spec: PublisherSpec, findPrefix: () => string) {
    this.#findSender = findSender;
    this.#findPrefix = findPrefix;
    this.spec = spec;
    this.schema = spec.options.schema as S | undefined;
  }

  static {
    brand(this, 'Publisher');
  }

  /** What its names begin with, the broker's and the routers' prefixes. @internal */
  get prefix(): string {
    return this.#findPrefix();
  }

  get #sender(): Sender {
    return (this.#cachedSender ??= this.#findSender());
  }

  /**
   * Sends one message (PUBLISH, RPUSH or XADD). Resolves with receivers, length or id; with `delay` or
   * `at`, with a handle; by the contract of a call, with the answer's value. Rejects with
   * `InvalidMessageError` if the body does not fit the publisher's schema.
   */
  async publish<Id extends string = never, When extends number | Date = never>(
    body: InputOf<S>,
    options: PublisherPublishOptions<To, Id, When> = {} as never,
  ): Promise<PublishResult<To, unknown, Id | When>> {
    const { contract } = this.spec;
    const call = contract !== undefined && isRpc(contract) ? contract : undefined;
    if (call !== undefined) return this.#sender.publish(body, call, this.#withDefaults(options));
    return this.send(body, options) as Promise<PublishResult<To, unknown, Id | When>>;
  }

  /** Calls the handler at the address and resolves with the whole answering message. Rejects as `broker.request` does. */
  async request<T = unknown>(
    body: InputOf<S>,
    options: PublisherRequestOptions<To> = {} as never,
  ): Promise<Message<AnswerOf<To, T>>> {
    const { contract } = this.spec;
    const { replyTo: _, ...call } = this.#withDefaults(options);
    if (contract !== undefined) return this.#sender.request(body, contract, call);
    await this.#check(body);
    return this.#sender.request(body, { ...call, ...this.#destination(options) });
  }

  /**
   * Calls a handler that answers with a stream, and reads its items, as `broker.requestMany` does. A body
   * that does not fit the publisher's schema is found when the first item is read.
   */
  requestMany<T = unknown>(
    body: RequestManyBody<To, S>,
    options: PublisherRequestManyOptions<To> = {},
  ): AsyncIterableIterator<AnswerOf<To, T>, undefined> {
    const { contract, validate } = this.spec;
    const { replyTo: _, ...call } = this.#withDefaults(options);
    const items: AsyncIterableIterator<unknown, undefined> =
      contract === undefined
        ? this.#sender.requestMany(body, { ...call, ...this.#destination(options) })
        : this.#sender.requestMany(body, contract, call);
    const checked =
      validate === undefined || contract !== undefined
        ? items
        : new LazyStream(async () => {
            await validate(body);
            return items;
          });
    return checked as AsyncIterableIterator<AnswerOf<To, T>, undefined>;
  }

  /**
   * Asks all subscribers of the channel, and resolves with their answers, their errors, and who did not
   * answer in time, as `broker.gather` does.
   */
  async gather<T = unknown>(
    body: GatherBody<To, S>,
    options: PublisherGatherOptions<To> = {} as PublisherGatherOptions<To>,
  ): Promise<GatherResult<AnswerOf<To, T>>> {
    const { contract } = this.spec;
    const { replyTo: _, ...call } = this.#withDefaults(options);
    if (contract !== undefined) return this.#sender.gather(body, contract, call);
    await this.#check(body);
    return this.#sender.gather(body, { ...call, ...this.#destination(options) });
  }

  /** Sends many messages in one round trip. Resolves as `broker.publishBatch` does. */
  async publishBatch<Id extends string = never, When extends number | Date = never>(
    bodies: readonly InputOf<S>[],
    options: PublisherBatchOptions<To, InputOf<S>, Id, When> = {},
  ): Promise<BatchResult<To, Id | When>> {
    const { contract } = this.spec;
    const all = this.#withDefaults(options);
    if (contract !== undefined) return this.#sender.publishBatch(bodies, contract, all);
    await Promise.all(bodies.map((body) => this.#check(body)));
    return this.#sender.publishBatch(bodies, { ...all, ...this.#destination(options) });
  }

  /** {@link publish} with a body of any type and without an answer. @internal */
  async send(body: unknown, options: SentOptions): Promise<unknown> {
    await this.#check(body);
    const { contract } = this.spec;
    const key = contract && keyIn(keyBeside(contract, options, 'publish').key, body, 0, 'publish');
    const { path: _, ...all } = this.#withDefaults(options);
    return this.#sender.publish(body, {
      ...all,
      ...(key !== undefined && { key }),
      ...this.#destination(options),
    });
  }

  /** Sends what a handler returned: with `batch`, one message for each item. @internal */
  async forward(
    result: unknown,
    options: SentOptions,
    batch = this.spec.options.batch,
  ): Promise<unknown> {
    // The path of the handled message fills the template, where there is one.
    const { path: _, ...plain } = options;
    const given = this.spec.template === undefined ? plain : options;
    if (batch !== true) return this.send(result, given);
    if (!Array.isArray(result))
      throw new SetupError(
        `@publisher with 'batch' sends each item of an array: the handler returned ${got(result)}`,
      );
    return this.publishBatch(result as InputOf<S>[], given);
  }

  /** The message as a pipeline collects it. @internal */
  collected(body: unknown, options: SentOptions = {}): CollectedByPublisher {
    const { contract, options: own } = this.spec;
    if (own.codec !== undefined || own.format !== undefined)
      throw new SetupError(
        "pipeline: a publisher with a 'codec' or a 'format' of its own writes its messages in another form than the pipeline: send them separately",
      );
    const all = this.#withDefaults(options);
    const { prefix } = this;
    if (contract !== undefined) return { body, to: contract, more: all, prefix };
    const to = { ...all, ...this.#destination(options) };
    return { body, to, more: undefined, check: () => this.#check(body), prefix };
  }

  #destination({ path }: SentOptions): object {
    const { template, destination } = this.spec;
    if (template === undefined && path === undefined) return destination;
    const channel = filled(
      template,
      path,
      describe(targetOf(destination, 'publisher')),
      'publisher',
    );
    return template === undefined ? destination : { ...destination, channel };
  }

  async #check(body: unknown): Promise<void> {
    await this.spec.validate?.(body);
  }

  /** Beside a contract, `path` is an option of the message. */
  #withDefaults<O extends SentOptions>(
    options: O,
  ): Omit<O, 'path'> & { replyTo?: unknown; path?: SentOptions['path'] } {
    const { headers, replyTo } = this.spec.options;
    const merged = { ...headers, ...options.headers };
    const { path, ...rest } = options;
    return {
      replyTo,
      ...rest,
      headers: Object.keys(merged).length > 0 ? merged : undefined,
      ...(path !== undefined && this.spec.contract !== undefined && { path }),
    };
  }
}
