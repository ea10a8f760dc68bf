import type { Redis } from 'ioredis';
import { deferred, type Deferred } from '../../../internal/deferred.ts';
import type { Connections } from '../connections.ts';
import { Script } from '../script.ts';
import { watch } from '../watchdog.ts';
import type { SideConnection } from './side-connection.ts';

/** The channel on which the server tells which keys have changed. */
const CHANNEL = '__redis__:invalidate';

/** Milliseconds between two looks at all lists where the server does not tell. */
const LOOK_AGAIN = 50;

/** Milliseconds before the connection is made again that went to another server than the side connection. */
const ELSEWHERE = 1_000;

/** Keys: lists. Returns which of them have items, by place. */
const WITH_ITEMS = new Script(`local found = {}
for i, list in ipairs(KEYS) do
  if redis.pcall('LLEN', list) ~= 0 then found[#found + 1] = i end
end
return found`);

/** Those that wait for one list. */
interface Change extends Deferred<void> {
  users: number;
}

const never = (): boolean => false;

/**
 * Knows when a list may have items, without a blocking command for each: the server tells when a key changes
 * that was looked at (CLIENT TRACKING). Where it refuses that, one script looks at all of them every 50 ms.
 */
export class Lookout {
  readonly #connections: Connections;
  readonly #side: SideConnection;
  readonly #waiting = new Map<string, Change>();
  #client: Redis | undefined;
  /** Whether the server tells of changes on both connections as they are now. */
  isTold = false;
  #look: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(connections: Connections, side: SideConnection) {
    this.#connections = connections;
    this.#side = side;
  }

  /** Opens the connection that is told. Without it, and until it is there, lists are looked at. */
  async open(key: string): Promise<void> {
    const client = await this.#connections.open(
      // Another protocol has other messages for it.
      { maxRetriesPerRequest: null, autoResendUnfulfilledCommands: false, protocol: 2 },
      key,
    );
    if (this.#isClosed) return this.#connections.release(client);
    this.#client = client;
    watch(client, this.#connections.timings);
    client.on('messageBuffer', (_: Buffer, keys: unknown) => {
      // Without keys, all of them (FLUSHALL).
      if (!Array.isArray(keys)) return this.wakeAll();
      for (const one of keys as Buffer[]) this.wake(one.toString());
    });
    client.on('close', this.#notTold);
    client.on('ready', () => void this.#listen(client));
    await this.#listen(client);
  }

  /** Resolves when the key may have changed. What is asked of the side connection after this call is asked after it is known. */
  watch(key: string): Promise<void> {
    let change = this.#waiting.get(key);
    if (change === undefined) this.#waiting.set(key, (change = { ...deferred<void>(), users: 0 }));
    change.users++;
    if (this.isTold) {
      for (const [name, ...args] of [
        ['client', 'CACHING', 'YES'],
        ['exists', key],
      ] as const)
        this.#side.run(name, args, never).catch(this.#notTold);
    } else this.#lookSoon();
    return change.promise;
  }

  /** One that called `watch` does not wait any more. */
  forget(key: string, change: Promise<void>): void {
    const known = this.#waiting.get(key);
    if (known?.promise === change && --known.users === 0) this.#waiting.delete(key);
  }

  wake(key: string): void {
    this.#waiting.get(key)?.resolve();
    this.#waiting.delete(key);
  }

  wakeAll(): void {
    for (const key of this.#waiting.keys()) this.wake(key);
  }

  /** The side connection is another: the server does not know for whom it was to tell. */
  sideChanged(): void {
    this.#notTold();
    // It may be another server, too: after a fail-over.
    this.#connectAgain();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#look);
    clearTimeout(this.#again);
    if (this.#client !== undefined) this.#connections.release(this.#client);
  }

  async #listen(client: Redis): Promise<void> {
    try {
      const [id, own] = await Promise.all([client.client('ID'), client.info('server')]);
      await client.subscribe(CHANNEL);
      const [sides] = await Promise.all([
        this.#side.run('info', ['server'], never),
        this.#side.run('client', ['TRACKING', 'ON', 'REDIRECT', id, 'OPTIN'], never),
      ]);
      // On another server the id is that of nobody, or of somebody else.
      this.isTold = runIdIn(own) === runIdIn(String(sides));
      if (this.isTold) return this.wakeAll();
      this.#again = setTimeout(() => this.#connectAgain(), ELSEWHERE).unref();
    } catch {
      this.#notTold(); // refused; or lost: the next `ready` asks again
    }
  }

  #connectAgain(): void {
    if (this.#client?.status === 'ready') this.#client.stream.destroy();
  }

  /** Those that wait must wait in another way. */
  readonly #notTold = (): void => {
    this.isTold = false;
    this.wakeAll();
  };

  #lookSoon(): void {
    this.#look ??= setTimeout(() => {
      void this.#lookAtAll().finally(() => {
        this.#look = undefined;
        if (this.#waiting.size > 0 && !this.isTold && !this.#isClosed) this.#lookSoon();
      });
    }, LOOK_AGAIN);
  }

  async #lookAtAll(): Promise<void> {
    const lists = [...this.#waiting.keys()];
    try {
      const run = (name: string, args: (string | number | Buffer)[]): Promise<unknown> =>
        this.#side.run(name, args, never);
      const found = (await WITH_ITEMS.run(this.#side.client, lists, [], run)) as number[];
      for (const place of found) this.wake(lists[place - 1] as string);
    } catch {
      // Each meets the error itself when it reads.
      this.wakeAll();
    }
  }
}

/** INFO: what a server is called until it is started again. */
function runIdIn(info: string): string | undefined {
  return /run_id:(\S+)/.exec(info)?.[1];
}
