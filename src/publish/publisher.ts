import type { PublisherSpec } from '../api/check.ts';
import type { Message } from '../api/message.ts';
import type {
  CallOptions,
  Destination,
  MessageOptions,
  PublishOptions,
} from '../api/publishing.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import type { Sender } from './sender.ts';

/** Sends to one address with its own default options: `broker.publisher(address, options)`. */
export class Publisher<S extends Schema, Sent> {
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
   * Sends one message (PUBLISH, RPUSH or XADD). Resolves with receivers, length or id. Rejects with
   * `InvalidMessageError` if the body does not fit the publisher's schema.
   */
  async publish(body: InputOf<S>, options: PublishOptions = {}): Promise<Sent> {
    return await this.#sender.publish(await this.#valid(body), this.#merged(options));
  }

  /** Calls the handler at the address and resolves with the whole answering message. Rejects as `broker.request` does. */
  async request<T = unknown>(body: InputOf<S>, options: CallOptions = {}): Promise<Message<T>> {
    const { replyTo: _, ...call } = this.#merged(options);
    return this.#sender.request(await this.#valid(body), call);
  }

  /** Sends many messages in one round trip. Resolves with the length of a list, or the ids or receivers of each. */
  async publishBatch(
    bodies: readonly InputOf<S>[],
    options: PublishOptions = {},
  ): Promise<Sent extends number ? number | number[] : Sent[]> {
    const valid = await Promise.all(bodies.map((body) => this.#valid(body)));
    return await this.#sender.publishBatch(valid, this.#merged(options));
  }

  /** {@link publish} with a body of any type, for results of handlers. @internal */
  async send(body: unknown, options: MessageOptions): Promise<unknown> {
    return this.#sender.publish(await this.#valid(body), this.#merged(options));
  }

  async #valid(body: unknown): Promise<unknown> {
    return this.#spec.validate === undefined ? body : this.#spec.validate(body);
  }

  #merged<O extends MessageOptions>(options: O): O & Destination & { replyTo?: unknown } {
    const { headers, replyTo } = this.#spec.options;
    const merged = { ...headers, ...options.headers };
    return {
      replyTo,
      ...options,
      ...this.#spec.destination,
      headers: Object.keys(merged).length > 0 ? merged : undefined,
    };
  }
}
