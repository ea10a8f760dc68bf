import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import { backoff } from '../../internal/backoff.ts';
import { deferred, pause, settledWithin, type Deferred } from '../../internal/deferred.ts';
import { Listeners } from '../listeners.ts';
import type { Report } from '../source.ts';
import type { Connections } from './connections.ts';
import { adviceOn, withoutPassword } from './advice.ts';
import { watchOver } from './watchdog.ts';

/** Receives a frame and the concrete channel it came on. */
export type ChannelSink = (frame: Buffer, channel: string) => void;

/** Which command subscribes; the namespaces of the first two and of the third are apart. */
export type Manner = 'subscribe' | 'psubscribe' | 'ssubscribe';

const MANNERS: readonly Manner[] = ['subscribe', 'psubscribe', 'ssubscribe'];

/**
 * SUBSCRIBE, PSUBSCRIBE and SSUBSCRIBE on one connection of their own. A subscription counts when the server
 * has confirmed it; after a reconnect all are made again, by us and not by ioredis, whose rejected
 * re-subscribe would end the process.
 */
export class PubSub {
  readonly #connections: Connections;
  readonly #report: Report;
  /** On a cluster, a name whose node to stay at; undefined for any node. */
  readonly #home: string | undefined;
  readonly #sinks: Record<Manner, Listeners<ChannelSink>> = {
    subscribe: new Listeners(),
    psubscribe: new Listeners(),
    ssubscribe: new Listeners(),
  };
  #client: Promise<Redis> | undefined;
  /** Pending while subscriptions of a lost connection wait to be confirmed on the next. */
  #restoring: Deferred<void> | undefined;
  #closed = false;
  readonly #listeners = new Set<() => void>();
  /** Who is told that the server will not let its subscription stand any more. */
  readonly #refusals = new Map<ChannelSink, (error: unknown) => void>();
  /** Counts connections: an attempt to restore on an earlier one gives up. */
  #generation = 0;
  /** When the connection was lost. */
  #lostAt = 0;

  constructor(connections: Connections, report: Report, home?: string) {
    this.#connections = connections;
    this.#report = report;
    this.#home = home;
  }

  /** Why nothing may be arriving, while that is so. */
  get trouble(): string | undefined {
    return this.#restoring === undefined
      ? undefined
      : 'the connection was lost, and the subscription is not confirmed again yet';
  }

  /**
   * Resolves when the server has confirmed the subscription; rejects where it refuses. Where it
   * refuses later, after a reconnect, `onRefused` is told, and the subscription is over.
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
      // Sent again where another sink has asked already: harmless, and its answer is our confirmation.
      await this.#ask(client, manner, [name]);
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
    // A connection that is down has no subscription to end, and will not restore this one.
    if (client?.status !== 'ready') return;
    // A connection that breaks just now never answers; nor does it deliver.
    const told =
      manner === 'subscribe'
        ? client.unsubscribe(name)
        : manner === 'psubscribe'
          ? client.punsubscribe(name)
          : client.sunsubscribe(name);
    await settledWithin(told, this.#connections.timings.unsubscribe);
  }

  /** Has `restored` called whenever all subscriptions stand again after a reconnect, until what is returned is called. */
  onRestored(restored: () => void): () => void {
    // Of its own, so that who gives one function twice is told twice, and ends each by itself.
    const listener = (): void => restored();
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Undefined while every subscription stands, else a promise for when it does again. */
  restored(): Promise<void> | undefined {
    return this.#restoring?.promise;
  }

  close(): void {
    this.#closed = true;
    this.#restoring?.resolve();
    this.#restoring = undefined;
  }

  async #connect(): Promise<Redis> {
    try {
      // Commands wait for a reconnect as long as it takes: they are idempotent, and nobody else retries them.
      const client = await this.#connections.open({ maxRetriesPerRequest: null }, this.#home);
      if (this.#home !== undefined) this.#connections.follow(client);
      watchOver(client, this.#connections.timings);
      const { subscribe, psubscribe, ssubscribe } = this.#sinks;
      client.on('messageBuffer', (channel: Buffer, frame: Buffer) => {
        const name = channel.toString();
        for (const sink of subscribe.get(name) ?? []) sink(frame, name);
      });
      client.on('pmessageBuffer', (pattern: string, channel: Buffer, frame: Buffer) => {
        const name = channel.toString();
        for (const sink of psubscribe.get(pattern) ?? []) sink(frame, name);
      });
      client.on('smessageBuffer', (channel: Buffer, frame: Buffer) => {
        const name = channel.toString();
        for (const sink of ssubscribe.get(name) ?? []) sink(frame, name);
      });
      // A cluster ends sharded subscriptions whose slot leaves the node.
      client.on('moved', () => client.stream.destroy());
      client.on('close', () => {
        if (this.#restoring === undefined) this.#lostAt = monotonicTime();
        if (!this.#closed) this.#restoring ??= deferred();
      });
      client.on('ready', () => void this.#restore(client));
      client.on('error', (error) => {
        // Not let in at all.
        if (adviceOn(error) !== undefined) this.#refuseAll(withoutPassword(error));
      });
      return client;
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }

  /** Subscribes again to everything that is wanted, then lets those go on who waited for it. */
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
        // While a node sent us elsewhere, the connection was made anew: the next attempt does it all.
        if (generation !== this.#generation) return;
        break;
      } catch (error) {
        if (this.#closed || generation !== this.#generation) return;
        if (failures === 1) this.#report('subscribing again after a reconnect was refused', error);
        if (adviceOn(error) !== undefined) {
          await this.#sortOut(client);
          break;
        }
        await pause(backoff(failures, resubscribeMin, resubscribeMax));
        if (this.#closed || generation !== this.#generation) return;
      }
    }
    if (this.#restoring === restoring && client.status === 'ready') {
      this.#restoring = undefined;
      restoring.resolve();
      const gap = Math.round(monotonicTime() - this.#lostAt);
      this.#report(
        `channels are heard again; what was published in the ${gap} ms before is lost`,
        undefined,
        'info',
      );
      for (const restored of this.#listeners) restored();
    }
  }

  /** Sends SUBSCRIBE or its kin, again where a cluster says that the names have gone elsewhere. */
  async #ask(client: Redis, manner: Manner, names: readonly string[]): Promise<void> {
    while (names.length > 0) {
      try {
        await client[manner](...names);
        return;
      } catch (error) {
        if (this.#closed || !(await this.#connections.followed(client, error))) throw error;
      }
    }
  }

  /** One name that is refused has all refused that were asked for with it: each is asked for alone. */
  async #sortOut(client: Redis): Promise<void> {
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

  /** Who has not asked to be told stays, and is subscribed again with the next connection. */
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
