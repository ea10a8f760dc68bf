import type { ChainableCommander, Redis } from 'ioredis';
import type { Target } from '../address.ts';
import { idConflict, type Once } from '../marks.ts';
import { besideKey } from './list-keys.ts';
import { Script } from './script.ts';
import { argumentsOf, nameOf } from './send-command.ts';

/**
 * Keys: target, mark. Arguments: digest, life of the mark, command that sends, its other arguments.
 * Sends, unless the mark is there; returns what the command returned then, in a table of its own. False where the
 * mark has another digest.
 */
const SEND_ONCE = new Script(
  `local before = redis.call('GET', KEYS[2])
if before then
  local length = #ARGV[1]
  if string.sub(before, 1, length) ~= ARGV[1] then return false end
  return { string.sub(before, length + 1) }
end
local reply = redis.call(ARGV[3], KEYS[1], unpack(ARGV, 4))
redis.call('SET', KEYS[2], ARGV[1] .. reply, 'PX', ARGV[2])
return tostring(reply)`,
  false,
);

/**
 * The key of the mark of a message that was sent: the digest of its body, then what sending returned, or
 * for one that is to be sent later `w` and the window that begins then.
 */
export function sentKey({ name }: Target, id: string): string {
  return `${besideKey('sent', name)}:${id}`;
}

/** Sends messages once for each id. */
export class SendOnce {
  readonly #client: Redis;
  #isLoaded = false;

  constructor(client: Redis) {
    this.#client = client;
  }

  /** Resolves with the id of the entry, or with the id itself for a list. */
  async send(to: Target, frame: Buffer, once: Once): Promise<string> {
    const [keys, args] = parts(to, frame, once);
    // The whole text at first: a script that the server does not know would be sent a second time, after what was sent behind it.
    const reply = this.#isLoaded
      ? SEND_ONCE.run(this.#client, keys, args, (name, all) => this.#client.call(name, ...all))
      : this.#client.call('eval', ...SEND_ONCE.inFull(keys, args));
    const result = sentOnce(to, once, await reply);
    this.#isLoaded = true;
    return result;
  }

  /** Adds the same to a transaction. */
  addTo(multi: ChainableCommander, to: Target, frame: Buffer, once: Once): void {
    multi.call('eval', ...SEND_ONCE.inFull(...parts(to, frame, once)));
  }
}

/** What a message that was sent once resolves with. Throws `IdConflictError` for a refusal. */
export function sentOnce(to: Target, { id, onKnown }: Once, reply: unknown): string {
  if (reply === null) throw idConflict(to, id);
  if (Array.isArray(reply)) onKnown?.();
  const text = String(reply);
  // One that is to be sent later has no entry yet.
  return to.kind === 'list' || text.startsWith('w') ? id : text;
}

function parts(
  to: Target,
  frame: Buffer,
  { id, digest, window }: Once,
): [keys: string[], args: (string | number | Buffer)[]] {
  const [name, ...others] = argumentsOf(to, frame);
  const keys = [name as string, sentKey(to, id)];
  return [keys, [digest, Math.ceil(window), nameOf(to), ...others]];
}
