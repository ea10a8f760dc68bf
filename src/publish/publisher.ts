import type { PublisherSpec } from '../api/check.ts';
import { isRpc, type RpcContract } from '../api/contract.ts';
import type { Message } from '../api/message.ts';
import type { IdOptions } from '../api/identity.ts';
import type {
  AnswerOf,
  BatchedEventOptions,
  BatchResult,
  CallOptions,
  ContractCallOptions,
  GatherResult,
  MessageOptions,
  PublishOptions,
  PublishResult,
} from '../api/publishing.ts';
import type { TimeOptions } from '../api/time.ts';
import type {
  GatherBody,
  PublisherGatherOptions,
  PublisherRequestManyOptions,
  RequestManyBody,
} from '../api/publisher-calls.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import { keyBeside, keyIn } from './keys.ts';
import { LazyStream } from './lazy-stream.ts';
import type { Sender } from './sender.ts';

/** Sends to one address with its own default options: `broker.publisher(address, options)`. */
export class Publisher<S extends Schema, To> {
  readonly #findSender: () => Sender;
  readonly #spec: PublisherSpec;
  #cachedSender: Sender | undefined;

  /** `findSender` is called at the first message. @internal */
  constructor(findSender: () => Sender, spec: PublisherSpec) {
    this.#findSender = findSender;
    this.#spec = spec;
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
    options: To extends RpcContract
      ? ContractCallOptions
      : Omit<PublishOptions, keyof TimeOptions> & IdOptions<Id> & TimeOptions<When> = {},
  ): Promise<PublishResult<To, unknown, Id | When>> {
    const { contract } = this.#spec;
    const call = contract !== undefined && isRpc(contract) ? contract : undefined;
    if (call !== undefined) return this.#sender.publish(body, call, this.#withDefaults(options));
    return this.send(body, options) as Promise<PublishResult<To, unknown, Id | When>>;
  }

  /** Calls the handler at the address and resolves with the whole answering message. Rejects as `broker.request` does. */
  async request<T = unknown>(
    body: InputOf<S>,
    options: To extends RpcContract ? ContractCallOptions : CallOptions = {},
  ): Promise<Message<AnswerOf<To, T>>> {
    const { contract, destination } = this.#spec;
    const { replyTo: _, ...call } = this.#withDefaults(options);
    if (contract !== undefined) return this.#sender.request(body, contract, call);
    await this.#check(body);
    return this.#sender.request(body, { ...call, ...destination });
  }

  /**
   * Calls a handler that answers with a stream, and reads its items, as `broker.requestMany` does. A body
   * that does not fit the publisher's schema is found when the first item is read.
   */
  requestMany<T = unknown>(
    body: RequestManyBody<To, S>,
    options: PublisherRequestManyOptions<To> = {},
  ): AsyncIterableIterator<AnswerOf<To, T>, undefined> {
    const { contract, destination, validate } = this.#spec;
    const { replyTo: _, ...call } = this.#withDefaults(options);
    const items: AsyncIterableIterator<unknown, undefined> =
      contract === undefined
        ? this.#sender.requestMany(body, { ...call, ...destination })
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
    const { contract, destination } = this.#spec;
    const { replyTo: _, ...call } = this.#withDefaults(options);
    if (contract !== undefined) return this.#sender.gather(body, contract, call);
    await this.#check(body);
    return this.#sender.gather(body, { ...call, ...destination });
  }

  /** Sends many messages in one round trip. Resolves as `broker.publishBatch` does. */
  async publishBatch<Id extends string = never, When extends number | Date = never>(
    bodies: readonly InputOf<S>[],
    options: Omit<PublishOptions, 'id' | keyof TimeOptions> &
      BatchedEventOptions<InputOf<S>, Id, When> = {},
  ): Promise<BatchResult<To, Id | When>> {
    const { contract, destination } = this.#spec;
    const all = this.#withDefaults(options);
    if (contract !== undefined) return this.#sender.publishBatch(bodies, contract, all);
    await Promise.all(bodies.map((body) => this.#check(body)));
    return this.#sender.publishBatch(bodies, { ...all, ...destination });
  }

  /** {@link publish} with a body of any type and without an answer, for results of handlers. @internal */
  async send(body: unknown, options: MessageOptions): Promise<unknown> {
    await this.#check(body);
    const { contract, destination } = this.#spec;
    const key = contract && keyIn(keyBeside(contract, options, 'publish').key, body, 0, 'publish');
    return this.#sender.publish(body, {
      ...this.#withDefaults(options),
      ...(key !== undefined && { key }),
      ...destination,
    });
  }

  async #check(body: unknown): Promise<void> {
    await this.#spec.validate?.(body);
  }

  #withDefaults<O extends MessageOptions>(options: O): O & { replyTo?: unknown } {
    const { headers, replyTo } = this.#spec.options;
    const merged = { ...headers, ...options.headers };
    return {
      replyTo,
      ...options,
      headers: Object.keys(merged).length > 0 ? merged : undefined,
    };
  }
}
