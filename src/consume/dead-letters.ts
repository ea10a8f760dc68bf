import type { MessageFormat } from '../message/format.ts';
import type { ReceivedMessage } from '../message/message.ts';
import type { Target } from '../transport/address.ts';
import type { Delivery } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';
import { encodeLetter } from './dead-letter-format.ts';

/** Writes the dead letters of one subscriber. */
export class DeadLetters {
  readonly #transport: Transport;
  readonly to: Target;
  readonly #format: MessageFormat;
  readonly #group: string | undefined;

  /** `format` is that of the messages, `group` that of the stream that they come from. */
  constructor(transport: Transport, to: Target, format: MessageFormat, group: string | undefined) {
    this.#transport = transport;
    this.to = to;
    this.#format = format;
    this.#group = group;
  }

  /**
   * Sends the message to the dead letters (XADD, RPUSH), with headers that say what happened. There is
   * a letter for every message; rejects where the address does not take it.
   */
  async bury(message: ReceivedMessage, delivery: Delivery, error: unknown): Promise<void> {
    const death = { delivery, error, group: this.#group, format: this.#format };
    await this.#transport.send(this.to, encodeLetter(message, death));
  }
}
