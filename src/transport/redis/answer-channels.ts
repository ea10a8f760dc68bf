import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { settledWithin } from '../../internal/deferred.ts';
import { INBOX_PREFIX } from '../inboxes.ts';
import type { Listener, Report } from '../source.ts';
import type { Connections } from './connections.ts';
import { subscribed } from './lost.ts';
import { PubSub } from './pubsub.ts';

type OnFrame = (frame: Buffer) => void;

/**
 * The channels of `listen`, that is for answers. They have a connection of their own, on a cluster one
 * for each slot. Redis cuts off a connection for which too much waits: an answer must not take the
 * other channels with it, nor the reverse.
 */
export class AnswerChannels {
  /** Whether answers can go over sharded channels; see {@link test}. */
  areSharded = false;
  readonly #connections: Connections;
  readonly #report: Report;
  readonly #bySlot = new Map<number, PubSub>();

  constructor(connections: Connections, report: Report) {
    this.#connections = connections;
    this.#report = report;
  }

  /**
   * On a cluster, finds out whether answers can go over sharded channels: sends one to nobody
   * (SPUBLISH). Servers before Redis 7 do not know the command, and a user may lack the right to it.
   */
  async test(client: Redis, inboxPrefix = INBOX_PREFIX): Promise<void> {
    if (!this.#connections.isCluster) return;
    const tested = client.spublish(`${inboxPrefix}{test}`, '').then(
      () => (this.areSharded = true),
      () => undefined,
    );
    await settledWithin(tested, this.#connections.timings.refreshSlots);
  }

  /** `isSharded`: subscribes to the sharded channel of this name, too. */
  async listen(
    channel: string,
    onFrame: OnFrame,
    onRestored: () => void,
    isSharded: boolean,
  ): Promise<Listener> {
    // PUBLISH goes to the node of the channel's slot and counts its subscribers, so we subscribe there.
    const pubsub = this.#at(channel);
    // Before subscribing: a connection may be lost while the subscription is being confirmed.
    const forget = pubsub.onRestored(onRestored);
    const leave = async (): Promise<void> => {
      forget();
      // Written together: ioredis takes a connection that has left all channels of one kind for one that has left all.
      await Promise.all([
        isSharded ? pubsub.unsubscribe(channel, 'ssubscribe', onFrame) : undefined,
        pubsub.unsubscribe(channel, 'subscribe', onFrame),
      ]);
    };
    try {
      const confirmed = pubsub.subscribe(channel, 'subscribe', onFrame);
      await subscribed(this.#connections.address, channel, confirmed);
      if (isSharded) await this.#subscribeShard(pubsub, channel, onFrame);
    } catch (error) {
      await leave();
      throw error;
    }
    return { ready: () => pubsub.restored(), close: leave };
  }

  close(): void {
    for (const pubsub of this.#bySlot.values()) pubsub.close();
  }

  /** Where the server refuses, whoever answers notices, and sends to the plain channel. */
  async #subscribeShard(pubsub: PubSub, channel: string, onFrame: OnFrame): Promise<void> {
    try {
      await pubsub.subscribe(channel, 'ssubscribe', onFrame);
    } catch (error) {
      if (!/^NOPERM|unknown command/.test(messageOf(error))) throw error;
      this.#report(
        'each answer is sent twice, and the second time to all nodes of the cluster, since SSUBSCRIBE is refused',
        error,
      );
    }
  }

  #at(name: string): PubSub {
    const slot = this.#connections.slotOf(name);
    const key = slot ?? -1;
    const found = this.#bySlot.get(key);
    if (found !== undefined) return found;
    const home = slot === undefined ? undefined : name;
    const made = new PubSub(this.#connections, this.#report, home, 'answers');
    this.#bySlot.set(key, made);
    return made;
  }
}
