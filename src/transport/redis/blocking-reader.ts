import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import { pause, settledWithin } from '../../internal/deferred.ts';
import { DisconnectedError } from '../source.ts';
import type { Timings } from '../timings.ts';
import { commandClassOf, type CommandClass } from './commands.ts';
import type { Connections } from './connections.ts';
import { makeUpName } from './group-admin.ts';
import { lostConnection } from './lost.ts';
import { Readiness } from './readiness.ts';
import type { Reader } from './reader.ts';

/** A connection for one blocking command at a time. */
export class BlockingReader implements Reader {
  readonly #client: Redis;
  readonly #commands: CommandClass;
  readonly #connections: Connections;
  readonly #timings: Timings;
  /** The connection's id at the server, for CLIENT UNBLOCK. */
  #id: number | undefined;
  /** Ends the command in flight with an error. */
  #abort: ((reason: Error) => void) | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #stopped = false;
  readonly #readiness: Readiness;
  readonly #onClose: (() => void) | undefined;
  readonly #isStopped = (): boolean => this.#stopped;
  readonly consumer = makeUpName();
  onReconnect: (() => void) | undefined;

  /** `key` is what will be read: on a cluster, the connection goes to its node. */
  static async open(
    connections: Connections,
    key: string,
    onClose?: () => void,
  ): Promise<BlockingReader> {
    // ioredis must not send a read again that a lost connection interrupted: it could hang, and the
    // sources find by other means what it may have fetched.
    const client = await connections.open(
      { maxRetriesPerRequest: null, autoResendUnfulfilledCommands: false },
      key,
    );
    try {
      return new BlockingReader(client, connections, await idOf(client, connections), onClose);
    } catch (error) {
      connections.release(client);
      throw error;
    }
  }

  private constructor(
    client: Redis,
    connections: Connections,
    id: number,
    onClose: (() => void) | undefined,
  ) {
    this.#client = client;
    this.#commands = commandClassOf(client);
    this.#connections = connections;
    this.#timings = connections.timings;
    this.#id = id;
    this.#onClose = onClose;
    this.#readiness = new Readiness(client, connections);
    client.on('close', () => {
      this.#id = undefined;
      // ioredis never settles the promise of a command that it does not send again.
      this.#abort?.(new DisconnectedError('the connection was lost'));
    });
    client.on('ready', () => {
      this.onReconnect?.();
      client.client('ID').then(
        (newId) => (this.#id = newId),
        () => undefined, // lost again: the next `ready` asks again
      );
    });
  }

  /** With `isOver`: where that says so when the command could be sent, it is not, and this resolves with `null`. */
  async run(
    name: string,
    args: (string | number | Buffer)[],
    isOver?: () => boolean,
  ): Promise<unknown> {
    for (;;) {
      await this.#readiness.wait(isOver ?? this.#isStopped);
      if (this.#stopped || isOver?.() === true) return null;
      try {
        return await this.#send(name, args);
      } catch (error) {
        // The key has moved to another node: nothing was read, so it is safe to read there.
        if (!(await this.#connections.followMove(this.#client, error))) throw error;
      }
    }
  }

  async #send(name: string, args: (string | number | Buffer)[]): Promise<unknown> {
    const { block, blockGrace } = this.#timings;
    const { bytesRead } = this.#client.stream;
    this.#suspectIn(block + blockGrace, bytesRead);
    try {
      return await new Promise((resolve, reject) => {
        this.#abort = reject;
        const command = new this.#commands(name, args, { replyEncoding: null });
        (this.#client.sendCommand(command) as Promise<unknown>).then(resolve, reject);
      });
    } finally {
      clearTimeout(this.#watchdog);
      this.#watchdog = undefined;
      this.#abort = undefined;
    }
  }

  #suspectIn(delay: number, before: number): void {
    const watchdog = setTimeout(() => {
      // After a long tick of this process timers run before sockets are read: read them first. What has arrived is not lost.
      setImmediate(() => {
        if (this.#watchdog === watchdog) this.#suspect(before);
      });
    }, delay);
    this.#watchdog = watchdog;
  }

  /**
   * The read should have ended by now. While bytes arrive, it is a large message over a slow link. Else
   * the connection is dead if the server answers on another one; if not, the server is busy, and waiting
   * is right.
   */
  #suspect(before: number): void {
    const { stream } = this.#client;
    const { blockGrace, suspicion } = this.#timings;
    const isMoving = stream.bytesRead > before;
    if (!isMoving && this.#connections.isServerAlive(this.#client)) {
      stream.destroy();
      return;
    }
    const { bytesRead } = stream;
    this.#suspectIn(isMoving ? blockGrace : suspicion, bytesRead);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#readiness.wake();
    await this.interrupt();
  }

  async interrupt(): Promise<void> {
    const read = this.#abort;
    if (read === undefined) return;
    const { block, blockGrace, unblock, unblockAgain } = this.#timings;
    const deadline = monotonicTime() + block + blockGrace;
    // UNBLOCK may arrive before the read does, so it is repeated until the read has ended. Where an ACL
    // refuses it, the read ends by itself after `block` milliseconds.
    while (this.#abort === read && monotonicTime() < deadline) {
      const command = this.#connections.commandConnection(this.#client);
      if (this.#id !== undefined && command !== undefined) {
        // Bounded: where the server has just gone, the answer comes after a reconnect or never.
        await settledWithin(command.client('UNBLOCK', this.#id), unblock);
      }
      await pause(unblockAgain);
    }
  }

  /** Has a command that waits for the connection ask again whether it is over. */
  wake(): void {
    this.#readiness.wake();
  }

  close(): void {
    this.#stopped = true;
    this.#readiness.wake();
    this.#connections.release(this.#client);
    this.#onClose?.();
  }
}

/** CLIENT ID. Where the connection is lost meanwhile, or is half-open, ioredis would never settle the command. */
async function idOf(client: Redis, { address, connectTimeout }: Connections): Promise<number> {
  let lost!: () => void;
  const closed = new Promise<never>((_, reject) => {
    lost = () => reject(lostConnection(address));
    client.once('close', lost);
  });
  const timer = setTimeout(() => client.stream.destroy(), connectTimeout);
  try {
    return await Promise.race([client.client('ID'), closed]);
  } finally {
    clearTimeout(timer);
    client.off('close', lost);
  }
}
