import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import { backoff } from '../../internal/backoff.ts';
import { deferred, pause, settledWithin, type Deferred } from '../../internal/deferred.ts';
import { Listeners } from '../listeners.ts';
import type { Report } from '../source.ts';
import type { Connections } from './connections.ts';
import { adviceOn, withoutPassword } from './advice.ts';
import { lostConnection } from './lost.ts';
import { watch } from './watchdog.ts';

/** Receives a frame and the concrete channel it came on. */
export type ChannelSink = (frame: Buffer, channel: string) => void;

/** The command that subscribes. The names of sharded channels are apart from those of the others. */
export type Manner = 'subscribe' | 'psubscribe' | 'ssubscribe';

const MANNERS: readonly Manner[] = ['subscribe', 'psubscribe', 'ssubscribe'];

/**
 * SUBSCRIBE, PSUBSCRIBE and SSUBSCRIBE on one connection of their own. A subscription
 * counts once the server has confirmed it. After a reconnect this class makes all of them again, and
 * not ioredis: there a rejected re-subscribe is an unhandled rejection, which ends the process.
 */
export class PubSub {
  readonly #connections: Connections;
  readonly #report: Report;
  /** On a cluster, a name: the connection goes to its node. Undefined for any node. */
  readonly #home: string | undefined;
  readonly #what: 'channels' | 'answers';
  readonly #sinks: Record<Manner, Listeners<ChannelSink>> = {
    subscribe: new Listeners(),
    psubscribe: new Listeners(),
    ssubscribe: new Listeners(),
  };
  #client: Promise<Redis> | undefined;
  /** Pending from the loss of a connection until all subscriptions are confirmed on the next. */
  #restoring: Deferred<void> | undefined;
  /**
   * Pending from the loss of a connection until the next is ready: nothing is sent meanwhile. ioredis 5 would send
   * SUBSCRIBE to a connection that is not ready yet. Then its own INFO, which has to be answered before, is refused
   * to a subscriber, and SUBSCRIBE is refused with it; where that connection is lost, too, SUBSCRIBE never settles.
   */
  #down: Deferred<void> | undefined;
  #closed = false;
  readonly #listeners = new Set<() => void>();
  /** Called when the server refuses to restore the subscription of a sink. */
  readonly #refusals = new Map<ChannelSink, (error: unknown) => void>();
  /** Counts connections, so that restoring on an earlier one can stop. */
  #generation = 0;
  /** Until when all that was published is known to have arrived on the connection that was lost. */
  #lostAt = 0;

  /** `what` arrives here: for the log. */
  constructor(
    connections: Connections,
    report: Report,
    home?: string,
    what: 'channels' | 'answers' = 'channels',
  ) {
    this.#connections = connections;
    this.#report = report;
    this.#home = home;
    this.#what = what;
  }

  /** Why nothing arrives at the moment; undefined where everything is subscribed. */
  get problem(): string | undefined {
    return this.#restoring === undefined
      ? undefined
      : 'the connection was lost, and the subscription is not confirmed again yet';
  }

  /**
   * Resolves when the server has confirmed the subscription; rejects where it refuses. Where it
   * refuses later, after a reconnect, `onRefused` is called, and the subscription is over.
   */
  async subscribe(
    name: string,
    manner: Manner,
    sink: ChannelSink,
    onRefused?: (error: unknown) => void,
  ): Promise<void> {
    const client = await (this.#client ??= this.#connect());
    const names = this.#sinks[manner];
    names.add(name, sink);
    try {
      // Sent even where another sink has subscribed already: the answer is our confirmation.
      await this.#confirmed(client, manner, name);
      await this.restored();
      if (onRefused !== undefined) this.#refusals.set(sink, onRefused);
    } catch (error) {
      names.remove(name, sink);
      throw error;
    }
  }

  async unsubscribe(name: string, manner: Manner, sink: ChannelSink): Promise<void> {
    this.#refusals.delete(sink);
    if (!this.#sinks[manner].remove(name, sink) || this.#closed) return;
    const client = await this.#client;
    // A connection that is down has no subscriptions, and this one is not among those to restore.
    if (client?.status !== 'ready') return;
    // Bounded: a connection that breaks now never answers.
    const told =
      manner === 'subscribe'
        ? client.unsubscribe(name)
        : manner === 'psubscribe'
          ? client.punsubscribe(name)
          : client.sunsubscribe(name);
    await settledWithin(told, this.#connections.timings.unsubscribe);
  }

  /** Calls `restored` each time that all subscriptions are confirmed again after a reconnect, until the result is called. */
  onRestored(restored: () => void): () => void {
    // A new function, so that one that is given twice is called twice and removed one at a time.
    const listener = (): void => restored();
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Resolves when all subscriptions are confirmed again; undefined where they are. */
  restored(): Promise<void> | undefined {
    return this.#restoring?.promise;
  }

  close(): void {
    this.#closed = true;
    this.#restoring?.resolve();
    this.#restoring = undefined;
    this.#endWait();
  }

  #endWait(): void {
    this.#down?.resolve();
    this.#down = undefined;
  }

  async #connect(): Promise<Redis> {
    try {
      // Commands wait for a reconnect without limit: they are idempotent, and nobody else sends them again.
      const client = await this.#connections.open({ maxRetriesPerRequest: null }, this.#home);
      if (this.#home !== undefined) this.#connections.follow(client);
      const watched = watch(client, this.#connections.timings);
      const { subscribe, psubscribe, ssubscribe } = this.#sinks;
      client.on('messageBuffer', (channel: Buffer, frame: Buffer) => {
        const name = channel.toString();
        hand(subscribe.get(name), frame, name);
      });
      client.on('pmessageBuffer', (pattern: string, channel: Buffer, frame: Buffer) => {
        const name = channel.toString();
        hand(psubscribe.get(pattern), frame, name);
      });
      client.on('smessageBuffer', (channel: Buffer, frame: Buffer) => {
        const name = channel.toString();
        hand(ssubscribe.get(name), frame, name);
      });
      // The node ended sharded subscriptions because their slot has left it.
      client.on('moved', () => client.stream.destroy());
      client.on('close', () => {
        // A process that was busy hears late that it was cut off, so the loss may have begun long before.
        if (this.#restoring === undefined) this.#lostAt = monotonicTime() - watched.unheard;
        if (this.#closed) return;
        this.#restoring ??= deferred();
        this.#down ??= deferred();
      });
      client.on('ready', () => {
        if (this.#connections.isRefused(client)) return;
        this.#endWait();
        void this.#restore(client);
      });
      // ioredis gives up, and refuses what is sent.
      client.on('end', () => this.#endWait());
      client.on('error', (error) => {
        // The login was refused, so no subscription can be restored.
        if (adviceOn(error) !== undefined) this.#refuseAll(withoutPassword(error));
        // What ioredis 5 makes of a sharded subscription that the node has ended.
        if (error.message.startsWith('Command queue state error')) client.stream.destroy();
      });
      return client;
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }

  /** Subscribes again to everything, then resolves the promise of `restored` and calls its listeners. */
  async #restore(client: Redis): Promise<void> {
    const restoring = this.#restoring;
    if (restoring === undefined) return;
    const generation = ++this.#generation;
    const { resubscribeMin, resubscribeMax } = this.#connections.timings;
    for (let failures = 1; ; failures++) {
      try {
        await Promise.all(
          MANNERS.map((manner) => this.#ask(client, manner, this.#sinks[manner].names())),
        );
        // There is a newer connection, after MOVED: its own attempt subscribes to everything.
        if (generation !== this.#generation) return;
        break;
      } catch (error) {
        if (this.#closed || generation !== this.#generation) return;
        if (failures === 1) this.#report('subscribing again after a reconnect was refused', error);
        if (adviceOn(error) !== undefined) {
          await this.#askOneByOne(client);
          break;
        }
        await pause(backoff(failures, resubscribeMin, resubscribeMax));
        // Where the connection was lost again, the next one begins anew.
        if (this.#closed || generation !== this.#generation || this.#down !== undefined) return;
      }
    }
    if (this.#restoring === restoring && client.status === 'ready') {
      this.#restoring = undefined;
      restoring.resolve();
      const gap = Math.round(monotonicTime() - this.#lostAt);
      if (this.#what === 'answers')
        this.#report(
          `answers are heard again; those of the ${gap} ms before are asked for`,
          ...([undefined, 'info'] as const),
        );
      else if (MANNERS.some((manner) => this.#sinks[manner].names().length > 0))
        this.#report(
          `channels are heard again; what was published in the ${gap} ms before may be lost`,
          undefined,
        );
      for (const restored of this.#listeners) restored();
    }
  }

  /**
   * Resolves when the server has confirmed a new subscription, or when the connection is lost: all is
   * then subscribed to again. ioredis 5 never settles an SSUBSCRIBE that is answered with MOVED.
   */
  async #confirmed(client: Redis, manner: Manner, name: string): Promise<void> {
    const asked = this.#ask(client, manner, [name]);
    if (manner !== 'ssubscribe') return asked;
    const lost = deferred<void>();
    const closed = (): void => lost.resolve();
    client.once('close', closed);
    try {
      await Promise.race([asked, lost.promise]);
    } finally {
      client.off('close', closed);
    }
  }

  /** Sends SUBSCRIBE, PSUBSCRIBE or SSUBSCRIBE; again where a cluster answers that the names have moved. */
  async #ask(client: Redis, manner: Manner, names: readonly string[]): Promise<void> {
    while (names.length > 0) {
      if (this.#down !== undefined) await this.#down.promise;
      if (this.#closed) throw lostConnection(this.#connections.address);
      try {
        await client[manner](...names);
        return;
      } catch (error) {
        if (this.#closed || !(await this.#connections.followMove(client, error))) throw error;
      }
    }
  }

  /** One refused name makes the server refuse the whole command: subscribes to each name alone. */
  async #askOneByOne(client: Redis): Promise<void> {
    await Promise.all(
      this.#all().map(async ([manner, name]) => {
        try {
          await this.#ask(client, manner, [name]);
        } catch (error) {
          this.#refuse(manner, name, error);
        }
      }),
    );
  }

  #refuseAll(error: unknown): void {
    for (const [manner, name] of this.#all()) this.#refuse(manner, name, error);
  }

  #all(): [manner: Manner, name: string][] {
    return MANNERS.flatMap((manner) =>
      this.#sinks[manner].names().map((name): [Manner, string] => [manner, name]),
    );
  }

  /** Ends the subscriptions of sinks that gave `onRefused`; the others are tried again on the next connection. */
  #refuse(manner: Manner, name: string, error: unknown): void {
    const sinks = this.#sinks[manner];
    for (const sink of sinks.get(name) ?? []) {
      const refused = this.#refusals.get(sink);
      if (refused === undefined) continue;
      this.#refusals.delete(sink);
      sinks.remove(name, sink);
      refused(error);
    }
  }
}

/** Each sink gets bytes of its own, the first those that came: a handler may change them. */
function hand(sinks: readonly ChannelSink[] | undefined, frame: Buffer, name: string): void {
  if (sinks === undefined) return;
  for (let i = sinks.length - 1; i > 0; i--) sinks[i]?.(Buffer.from(frame), name);
  sinks[0]?.(frame, name);
}
