import { unixTime } from '../internal/clock.ts';
import { RedstartError, messageOf } from '../errors.ts';
import type { MessageFormat } from '../message/format.ts';
import * as names from '../message/headers.ts';
import { CALL_KEY, REPLY_KIND_KEY, type Message } from '../message/message.ts';
import type { Target } from '../transport/address.ts';
import type { Delivery, Transport } from '../transport/transport.ts';

/** Characters of an error's text in a header. */
const MAX_ERROR = 2_000;

/** Headers of a call under way, which mean nothing once its caller is gone. */
const OF_A_CALL = new Set<string>([
  ...[names.REPLY_TO, names.REPLY_KIND, names.CALL, names.DEADLINE, names.AGAIN],
  ...[names.WINDOW, names.GATHER, names.FROM, names.NAME, names.STATUS, names.SEQUENCE],
]);

/** Where rejected and given-up messages of one subscriber go. */
export class DeadLetters {
  readonly #transport: Transport;
  readonly #to: Target;
  readonly #format: MessageFormat;
  readonly #group: string | undefined;

  constructor(transport: Transport, to: Target, format: MessageFormat, group: string | undefined) {
    this.#transport = transport;
    this.#to = to;
    this.#format = format;
    this.#group = group;
  }

  /** Sends the message there, body as it is, with its own headers and with what happened. */
  async bury(message: Message, delivery: Delivery, error: unknown): Promise<void> {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(message.headers)) {
      if (!OF_A_CALL.has(name)) headers[name] = value;
    }
    Object.assign(headers, this.#story(message, delivery, error));
    const body = formOf(message, delivery) === 'fields' ? message.raw : message.payload;
    await this.#transport.send(this.#to, this.#format.encode({ headers, body }));
  }

  #story(message: Message, delivery: Delivery, error: unknown): Record<string, string> {
    const { source, id } = message;
    const [kind, name] = Object.entries(source)[0] as [string, string];
    const form = formOf(message, delivery);
    // A plain publish's `replyTo` is part of the message; a call's inbox is not.
    const replyTo = message.header(CALL_KEY) === undefined ? message.replyTo : undefined;
    const code = error instanceof RedstartError ? error.code : undefined;
    return {
      [names.ERROR]: describeError(error).slice(0, MAX_ERROR),
      ...(code === undefined ? {} : { [names.ERROR_CODE]: code }),
      [names.DELIVERIES]: String(delivery.count),
      [names.ORIGIN]: `${kind} ${name}`,
      ...(id === undefined ? {} : { [names.ORIGIN_ID]: id }),
      ...(this.#group === undefined ? {} : { [names.ORIGIN_GROUP]: this.#group }),
      ...(form === undefined ? {} : { [names.ORIGIN_FORM]: form }),
      ...(replyTo === undefined
        ? {}
        : {
            [names.ORIGIN_REPLY_TO]: `${message.header(REPLY_KIND_KEY) ?? 'channel'} ${replyTo}`,
          }),
      [names.DIED_AT]: String(unixTime()),
    };
  }
}

/** How a message travelled that was no frame: raw bytes, or the fields of a stream entry. */
function formOf(message: Message, { frame }: Delivery): 'raw' | 'fields' | undefined {
  if (!Buffer.isBuffer(frame)) return 'fields';
  const { body, headers } = message.frame;
  return body === 0 && headers === undefined ? 'raw' : undefined;
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : messageOf(error);
}
