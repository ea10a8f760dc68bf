import type { Message } from '../api/message.ts';
import type { InputOf, Schema } from '../message/schema.ts';
import type { PublisherSpec } from '../api/check.ts';
import type {
  CallOptions,
  Destination,
  MessageOptions,
  PublishOptions,
} from '../api/publishing.ts';
import type { Sender } from './sender.ts';

/** Sends to one address, with defaults of its own: `broker.publisher(address, options)`. */
export class Publisher<S extends Schema, Sent> {
  readonly #findSender: () => Sender;
  readonly #spec: PublisherSpec;
  #found: Sender | undefined;

  /** `sender` is asked at the first message. @internal */
  constructor(sender: () => Sender, spec: PublisherSpec) {
    this.#findSender = sender;
    this.#spec = spec;
  }

  get #sender(): Sender {
    return (this.#found ??= this.#findSender());
  }

  /** Sends one message. Rejects with `InvalidMessageError` where it does not fit the publisher's schema. */
  async publish(body: InputOf<S>, options: PublishOptions = {}): Promise<Sent> {
    return await this.#sender.publish(await this.#valid(body), this.#merged(options));
  }

  /** Calls the handler at the address and resolves with its whole answer. */
  async request<T = unknown>(body: InputOf<S>, options: CallOptions = {}): Promise<Message<T>> {
    const { replyTo: _, ...call } = this.#merged(options);
    return this.#sender.request(await this.#valid(body), call);
  }

  /** Sends many messages in one round trip. */
  async publishBatch(
    bodies: readonly InputOf<S>[],
    options: PublishOptions = {},
  ): Promise<Sent extends number ? number | number[] : Sent[]> {
    const valid = await Promise.all(bodies.map((body) => this.#valid(body)));
    return await this.#sender.publishBatch(valid, this.#merged(options));
  }

  /** @internal */
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
