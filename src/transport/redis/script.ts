import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';

/** Lets a script write although the server is out of memory (Redis 7). Older servers do not compile it. */
const ALLOW_OOM = '#!lua flags=allow-oom\n';

/** Clients of servers before Redis 7. */
const old = new WeakSet<Redis>();

/** The text of a script, and its digest once it is sent: most programs send few of the scripts. */
class Form {
  readonly text: string;
  #digest: string | undefined;

  constructor(text: string) {
    this.text = text;
  }

  get digest(): string {
    return (this.#digest ??= createHash('sha1').update(this.text).digest('hex'));
  }
}

/** How a script is sent: by default on the command connection. */
export type Send = (name: string, args: (string | number | Buffer)[]) => Promise<unknown>;

/**
 * A Lua script, sent as EVALSHA, and as EVAL where the server does not know it yet. It may write while
 * the server is out of memory: on Redis 7 by its flag, before where its first write needs no memory.
 */
export class Script {
  readonly #flagged: Form;
  readonly #plain: Form;

  /** With `settles` false, its writes are refused while the server is out of memory: it sends new messages. */
  constructor(text: string, settles = true) {
    this.#plain = new Form(text);
    this.#flagged = settles ? new Form(ALLOW_OOM + text) : this.#plain;
  }

  /** The arguments of an EVAL with the whole text, for where it must not fail because the server does not know it yet. */
  inFull(
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): (string | number | Buffer)[] {
    return [this.#plain.text, keys.length, ...keys, ...args];
  }

  /** Runs it; strings in the reply are buffers. All keys must be in one slot. */
  async run(
    client: Redis,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
    send: Send = (name, all) => client.callBuffer(name, ...all),
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    const form = old.has(client) ? this.#plain : this.#flagged;
    try {
      return await send('evalsha', [form.digest, ...rest]);
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
    }
    try {
      return await send('eval', [form.text, ...rest]);
    } catch (error) {
      if (form === this.#plain || !messageOf(error).includes('compiling script')) throw error;
    }
    old.add(client);
    return send('eval', [this.#plain.text, ...rest]);
  }
}

/** Whether the server refused a command because it is out of memory. */
export function isOutOfMemory(error: unknown): boolean {
  return messageOf(error).startsWith('OOM');
}

const COMMAND = new Script('return redis.call(unpack(ARGV))');

/**
 * Sends a command about one key; where the server is out of memory, sends it in a script that may
 * exceed the limit: without it a full server could not be emptied.
 */
export async function evenWithoutMemory(
  client: Redis,
  key: string,
  ...command: [name: string, ...args: (string | number)[]]
): Promise<unknown> {
  try {
    return await client.call(...command);
  } catch (error) {
    if (!isOutOfMemory(error)) throw error;
    return COMMAND.run(client, [key], command);
  }
}
