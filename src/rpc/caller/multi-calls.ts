import { monotonicTime } from '../../internal/clock.ts';
import { NoRespondersError, SendError } from '../../errors.ts';
import { CALL, DEADLINE, GATHER, WINDOW, WINDOW_BYTES } from '../../message/headers.ts';
import { binaryFormat } from '../../message/format.ts';
import type { GatherResult } from '../../api/publishing.ts';
import { describe } from '../../transport/address.ts';
import { counts, type Transport } from '../../transport/transport.ts';
import { deadlineOf, type WaitingCall } from './call.ts';
import type { CallTable } from './call-table.ts';
import { GatherCall, type GatherCommand } from './gather-call.ts';
import type { Inbox } from '../inbox.ts';
import { MAX_UNREAD, StreamCall, type StreamCommand } from './stream-call.ts';

/** Makes calls with more than one answer: streams and gathers. */
export class MultiCalls {
  readonly #transport: Transport;
  readonly #table: CallTable;
  readonly #inbox: Inbox;

  constructor(transport: Transport, table: CallTable, inbox: Inbox) {
    this.#transport = transport;
    this.#table = table;
    this.#inbox = inbox;
  }

  /** Calls for a stream. Nothing is sent before the first item is asked for. */
  stream(given: StreamCommand): StreamCall {
    const command = this.#table.admit(given);
    const { call } = command;
    return new StreamCall(command, {
      send: (stream) => {
        const { window } = command;
        return this.#send(stream, { [WINDOW]: String(window), [WINDOW_BYTES]: String(MAX_UNREAD) });
      },
      credit: (responder, consumed) =>
        this.#inbox.notifyOrLog(responder, 'credit', call, String(consumed)),
      cancel: (responder) => this.#inbox.notifyOrLog(responder, 'cancel', call),
      forget: (stream) => this.#table.remove(stream),
    });
  }

  /** Asks every subscriber of a channel, and resolves with all answers or when the time is up. */
  gather(given: GatherCommand): Promise<GatherResult> {
    const command = this.#table.admit(given);
    if (command.signal?.aborted === true) return Promise.reject(command.signal.reason as Error);
    const gather = new GatherCall(command, {
      forget: (ended) => this.#table.remove(ended),
      cancel: (responder) => this.#inbox.notifyOrLog(responder, 'cancel', command.call),
    });
    this.#send(gather, { [GATHER]: '1' }).then(
      // In a cluster the receivers cannot be counted: then the call ends by its time alone.
      (receivers) => receivers !== undefined && gather.reached(receivers),
      (error: unknown) => gather.fail(error),
    );
    return gather.result;
  }

  /** Sends the request; resolves with the number of its receivers, where that can be counted. */
  async #send(call: WaitingCall, extra: Record<string, string>): Promise<number | undefined> {
    const refusal = this.#table.refusal();
    if (refusal !== undefined) throw refusal;
    const { command } = call;
    const { to, timeout } = command;
    const end = monotonicTime() + (timeout ?? Infinity);
    this.#table.add(call);
    if (command.encoder.format !== binaryFormat) this.#inbox.learn(command.encoder.format);
    if (this.#table.isNamed(command)) this.#table.name(call);
    await this.#inbox.ready();
    extra[CALL] = command.call;
    if (timeout !== null) extra[DEADLINE] = deadlineOf(command, end, this.#transport.timed.clock);
    const frame = command.encoder.encode(command, this.#inbox.address, extra);
    const receivers = await this.#transport.send(to, frame).catch((error: unknown) => {
      throw new SendError(describe(to), error);
    });
    if (to.kind !== 'channel') return 1;
    if (!counts(this.#transport, to)) return undefined;
    if (receivers === 0 && extra[GATHER] === undefined) throw new NoRespondersError(describe(to));
    if (typeof receivers === 'number') return receivers;
    const why = new Error(`Redis answered '${receivers}' where it should count receivers`);
    throw new SendError(describe(to), why);
  }
}
