import type { Redis } from 'ioredis';
import { deferred, settledWithin, type Deferred } from '../internal/deferred.ts';
import { Subscriptions } from '../transport/subscriptions.ts';
import type { Report } from '../transport/transport.ts';
import type { Connections } from './connections.ts';
import { watchOver } from './watchdog.ts';

/** Milliseconds that an unsubscription may take. */
const PATIENCE = 1_000;

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
  readonly #sinks: Record<Manner, Subscriptions<ChannelSink>> = {
    subscribe: new Subscriptions(),
    psubscribe: new Subscriptions(),
    ssubscribe: new Subscriptions(),
  };
  #client: Promise<Redis> | undefined;
  /** Pending while subscriptions of a lost connection wait to be confirmed on the next. */
  #restoring: Deferred<void> | undefined;
  #closed = false;
  readonly #listeners: (() => void)[] = [];

  constructor(connections: Connections, report: Report, home?: string) {
    this.#connections = connections;
    this.#report = report;
    this.#home = home;
  }

  /** Resolves when the server has confirmed the subscription; rejects where it refuses. */
  async subscribe(name: string, manner: Manner, sink: ChannelSink): Promise<void> {
    const client = await (this.#client ??= this.#connect());
    const names = this.#sinks[manner];
    names.add(name, sink);
    try {
      // Sent again where another sink has asked already: harmless, and its answer is our confirmation.
      await this.#ask(client, manner, [name]);
      await this.restored();
    } catch (error) {
      names.remove(name, sink);
      throw error;
    }
  }

  async unsubscribe(name: string, manner: Manner, sink: ChannelSink): Promise<void> {
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
    await settledWithin(told, PATIENCE);
  }

  /** Has `restored` called whenever all subscriptions stand again after a reconnect. */
  onRestored(restored: () => void): void {
    this.#listeners.push(restored);
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
      watchOver(client);
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
        if (!this.#closed) this.#restoring ??= deferred();
      });
      client.on('ready', () => void this.#restore(client));
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
    try {
      await Promise.all(
        MANNERS.map((manner) => this.#ask(client, manner, this.#sinks[manner].names())),
      );
    } catch (error) {
      if (!this.#closed) this.#report('subscribing again after a reconnect was refused', error);
    }
    if (this.#restoring === restoring && client.status === 'ready') {
      this.#restoring = undefined;
      restoring.resolve();
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
}
