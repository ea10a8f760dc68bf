import { settledWithin } from '../../internal/deferred.ts';
import type { Target } from '../../transport/address.ts';
import type { Transport } from '../../transport/transport.ts';
import type { PendingCall } from './call-table.ts';

/** Milliseconds that Redis has to say what waits at an address. */
const PATIENCE = 100;

/** Finds out why a call got no answer in time: whether the connection is down, and whether anybody reads the address. */
export class Readership {
  readonly #transport: Transport;
  /** Questions under way, by address: calls that end together ask once. */
  readonly #asking = new Map<string, Promise<string | undefined>>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** What is known; a promise for it where Redis is asked (LLEN, XINFO GROUPS). It never rejects. */
  of({
    command: { to },
    receivers,
    isAnswered,
  }: PendingCall): string | Promise<string | undefined> {
    if (isAnswered) return 'an answer came, and its schema has not finished';
    const { downFor } = this.#transport;
    if (downFor > 0) return `the connection to Redis has been down for ${Math.round(downFor)} ms`;
    if (receivers === undefined) return 'Redis has not confirmed the request';
    if (to.kind === 'channel')
      return receivers < Infinity
        ? `subscribers that have the request: ${receivers}`
        : 'a cluster does not say whether anybody is subscribed';
    const key = `${to.kind} ${to.name}`;
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#ask(to).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  async #ask(to: Target): Promise<string | undefined> {
    let known: string | undefined;
    const asked = this.#textOf(to).then((text) => (known = text));
    await settledWithin(asked, PATIENCE);
    return known;
  }

  async #textOf(to: Target): Promise<string | undefined> {
    if (to.kind === 'stream') {
      if (!(await this.#transport.hasGroups(to.name))) return 'no group reads the stream';
      return 'a group reads the stream';
    }
    const waiting = await this.#transport.count(to);
    if (waiting === 0) return 'somebody has taken the request';
    return `messages that wait in the list: ${waiting}; nobody reads it, or its readers are busy`;
  }
}
