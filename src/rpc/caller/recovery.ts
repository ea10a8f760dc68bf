import { AGAIN } from '../../message/headers.ts';
import type { Report } from '../../transport/source.ts';
import type { Transport } from '../../transport/transport.ts';
import type { GapChannel } from '../gap-channel.ts';
import { keptAnswersKey, type Inbox } from '../inbox.ts';
import type { Calls } from './calls.ts';
import type { CallTable } from './call-table.ts';

/** Recovers the answers and requests that a lost connection, ours or a responder's, may have taken along. */
export class Recovery {
  readonly #transport: Transport;
  readonly #table: CallTable;
  readonly #calls: Calls;
  readonly #inbox: Inbox;
  readonly #gapChannel: GapChannel;
  readonly #report: Report;

  constructor(
    transport: Transport,
    table: CallTable,
    calls: Calls,
    inbox: Inbox,
    gapChannel: GapChannel,
    report: Report,
  ) {
    this.#transport = transport;
    this.#table = table;
    this.#calls = calls;
    this.#inbox = inbox;
    this.#gapChannel = gapChannel;
    this.#report = report;
  }

  /** A responder kept an answer that it could not deliver. */
  kept(): void {
    void this.#attempt(() => this.#collect());
  }

  /** Our inbox stands again after a reconnect. */
  restored(): void {
    void this.#attempt(() => this.#recoverAll());
  }

  /** A responder's subscriptions were interrupted, so it may have missed requests. */
  gap(): void {
    void this.#attempt(() => this.#sendAgain());
  }

  async #attempt(recover: () => Promise<void>): Promise<void> {
    if (this.#table.isClosed || this.#table.size === 0) return;
    try {
      await recover();
    } catch (error) {
      if (!this.#table.isClosed)
        this.#report('answers could not be recovered after a reconnect', error);
    }
  }

  async #recoverAll(): Promise<void> {
    for (const call of this.#table.all()) call.interrupted();
    await this.#collect();
    await this.#askAgain();
    await this.#sendAgain();
  }

  /** Takes the answers that were kept under a key while the inbox could not be reached. */
  async #collect(): Promise<void> {
    const frames = await this.#transport.collect(keptAnswersKey(this.#inbox.address.name));
    for (const frame of frames) this.#inbox.receive(frame);
  }

  /** Asks all responders to send their answers to the pending calls again. */
  async #askAgain(): Promise<void> {
    const calls = this.#table.pending().map(({ command }) => command.call);
    if (calls.length === 0) return;
    await this.#gapChannel.notify('lost', this.#inbox.address.name, calls.join(' '));
  }

  /** Sends the requests to channels again; a responder that has seen one ignores the second. */
  async #sendAgain(): Promise<void> {
    const sent: Promise<unknown>[] = [];
    for (const call of this.#table.pending()) {
      const { to } = call.command;
      if (call.receivers === undefined || to.kind !== 'channel') continue;
      sent.push(this.#transport.send(to, this.#calls.frame(call, { [AGAIN]: '1' })));
    }
    await Promise.all(sent);
  }
}
