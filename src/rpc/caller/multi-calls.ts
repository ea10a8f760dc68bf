import { unixTime } from '../../internal/clock.ts';
import { NoRespondersError, SendError } from '../../errors.ts';
import { CALL, DEADLINE, GATHER, WINDOW } from '../../message/headers.ts';
import { CALL_KEY, type Message } from '../../message/message.ts';
import type { Gathered } from '../../api/publishing.ts';
import { describe } from '../../transport/address.ts';
import { counts, type Transport } from '../../transport/transport.ts';
import type { Conversation } from './call.ts';
import { Gathering, type GatherCommand } from './gather-call.ts';
import type { Inbox } from '../inbox.ts';
import { StreamCall, type StreamCommand } from './stream-call.ts';

/** The calls with more than one answer that are under way, by their numbers. */
export class Conversations {
  /** Why no further call can be made now, if so. */
  refusal: () => Error | undefined = () => undefined;
  readonly #transport: Transport;
  readonly #inbox: Inbox;
  readonly #open = new Map<number, Conversation>();

  constructor(transport: Transport, inbox: Inbox) {
    this.#transport = transport;
    this.#inbox = inbox;
    inbox.on('item', (message) => this.find(message)?.item(message));
    inbox.on('end', (message) => this.find(message)?.end(message));
  }

  get size(): number {
    return this.#open.size;
  }

  find(message: Message): Conversation | undefined {
    if (this.#open.size === 0) return undefined;
    const call = message.header(CALL_KEY);
    if (call !== undefined) return this.#open.get(Number(call));
    // FastStream answers with nothing but the correlation id.
    const { correlationId } = message;
    const same = [...this.#open.values()].filter(
      ({ command }) => command.correlationId === correlationId,
    );
    return same.length === 1 ? same[0] : undefined;
  }

  /** Calls for a stream. Nothing is sent before the first item is asked for. */
  stream(command: StreamCommand): StreamCall {
    const call = String(command.call);
    return new StreamCall(command, {
      send: (stream) => this.#begin(stream, { [WINDOW]: String(command.window) }),
      credit: (responder, taken) => this.#inbox.say(responder, 'credit', call, String(taken)),
      cancel: (responder) => this.#inbox.say(responder, 'cancel', call),
      forget: () => this.#open.delete(command.call),
    });
  }

  /** Asks everybody on a channel, and resolves with all answers or when time is up. */
  gather(command: GatherCommand): Promise<Gathered> {
    const gathering = new Gathering(command, () => this.#open.delete(command.call));
    this.#begin(gathering, { [GATHER]: '1' }).then(
      // Where nobody can say how many, all who answer in time are all there are.
      (receivers) => receivers !== undefined && gathering.reached(receivers),
      (error: unknown) => gathering.fail(error),
    );
    return gathering.result;
  }

  /** After a reconnect. */
  interrupted(): void {
    for (const conversation of [...this.#open.values()]) conversation.interrupted();
  }

  close(reason: Error): void {
    for (const conversation of [...this.#open.values()]) conversation.close(reason);
  }

  /** Sends the request; resolves with the number of those it reached, where that can be known. */
  async #begin(
    conversation: Conversation,
    extra: Record<string, string>,
  ): Promise<number | undefined> {
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    const { command } = conversation;
    const { to, timeout } = command;
    this.#open.set(command.call, conversation);
    await this.#inbox.ready();
    extra[CALL] = String(command.call);
    if (timeout !== null) extra[DEADLINE] = String(unixTime() + Math.ceil(timeout));
    const frame = command.encoder.encode(command, this.#inbox.address, extra);
    const receivers = await this.#transport.send(to, frame).catch((error: unknown) => {
      throw new SendError(describe(to), error);
    });
    if (to.kind !== 'channel') return 1;
    if (!counts(this.#transport, to)) return undefined;
    if (receivers === 0 && extra[GATHER] === undefined) throw new NoRespondersError(describe(to));
    return receivers as number;
  }
}
