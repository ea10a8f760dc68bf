import type { Redis } from 'ioredis';
import { DisconnectedError } from '../../source.ts';
import { commandClassOf, type CommandClass } from '../commands.ts';
import type { Connections } from '../connections.ts';
import { Readiness } from '../readiness.ts';
import { watch } from '../watchdog.ts';
import { batchWrites } from '../write-batching.ts';

/**
 * A connection for commands that do not block, of many sources at once. It is apart from the command
 * connection because nothing that reads may be sent again after the connection was lost.
 */
export class SideConnection {
  readonly client: Redis;
  readonly #commands: CommandClass;
  readonly #connections: Connections;
  readonly #readiness: Readiness;
  /** Reject the commands that are under way. */
  readonly #underWay = new Set<(error: Error) => void>();
  /** Called after every reconnect, before anything is sent. */
  onReconnect: (() => void) | undefined;

  static async open(connections: Connections, key: string): Promise<SideConnection> {
    const client = await connections.open(
      { maxRetriesPerRequest: null, autoResendUnfulfilledCommands: false },
      key,
    );
    return new SideConnection(client, connections);
  }

  private constructor(client: Redis, connections: Connections) {
    this.client = client;
    this.#commands = commandClassOf(client);
    this.#connections = connections;
    this.#readiness = new Readiness(client, connections);
    batchWrites(client);
    watch(client, connections.timings);
    client.on('close', () => {
      // ioredis never settles the promise of a command that it does not send again.
      const lost = new DisconnectedError('the connection was lost');
      for (const reject of this.#underWay) reject(lost);
      this.#underWay.clear();
    });
    client.on('ready', () => this.onReconnect?.());
  }

  /** Resolves with the reply, strings as buffers; with `null` where `isOver` says so before it is sent. */
  async run(
    name: string,
    args: (string | number | Buffer)[],
    isOver: () => boolean,
  ): Promise<unknown> {
    for (;;) {
      if (this.client.status !== 'ready') await this.#readiness.wait(isOver);
      if (isOver()) return null;
      try {
        return await this.#send(name, args);
      } catch (error) {
        // The key has moved to another node: nothing was done, so it is safe to send it there.
        if (!(await this.#connections.followMove(this.client, error))) throw error;
      }
    }
  }

  #send(name: string, args: (string | number | Buffer)[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#underWay.add(reject);
      const command = new this.#commands(name, args, { replyEncoding: null });
      (this.client.sendCommand(command) as Promise<unknown>).then(
        (reply) => {
          this.#underWay.delete(reject);
          resolve(reply);
        },
        (error: unknown) => {
          this.#underWay.delete(reject);
          reject(error);
        },
      );
    });
  }

  /** Has commands that wait for the connection ask again whether they are over. */
  wake(): void {
    this.#readiness.wake();
  }

  close(): void {
    this.#connections.release(this.client);
  }
}
