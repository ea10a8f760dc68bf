import { SetupError } from '../errors.ts';
import { checkKeys, got, isObject, nonEmptyText } from '../internal/checks.ts';
import { asking } from '../transport/refusal.ts';
import { idBefore } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';

/** A group of a stream, as Redis knows it. */
export interface StreamGroup {
  readonly name: string;
  /** The id of the last entry that was delivered to it. */
  readonly lastId: string;
  /** Entries that are delivered and not acknowledged. */
  readonly pending: number;
  /** Entries that are not delivered yet; undefined if Redis does not know (before Redis 7, after deletions, after a seek into the middle). */
  readonly lag: number | undefined;
  /** Consumers, including those that are gone and not removed yet. */
  readonly consumers: number;
}

/**
 * Where a group continues: `'start'` at the oldest entry, `'end'` at the next one that is sent, a Date
 * at the first entry that was sent then or later, an id after that entry.
 */
export type SeekTarget = 'start' | 'end' | Date | (string & {});

/** Lists, moves and removes the groups of one stream. Made by `broker.groups`. */
export class StreamGroups {
  readonly #stream: string;
  readonly #transport: () => Promise<Transport>;

  /** @internal */
  constructor(stream: string, transport: () => Promise<Transport>) {
    this.#stream = stream;
    this.#transport = transport;
  }

  /** All groups, by name (XINFO GROUPS); none if the stream does not exist. */
  async list(): Promise<StreamGroup[]> {
    const groups = await this.#ask((transport) => transport.groups(this.#stream));
    return groups.map(({ consumers = 0, ...group }) => ({ ...group, consumers }));
  }

  /**
   * Makes a group continue at another place (XGROUP SETID), to skip entries or to handle old ones again.
   * Pending entries stay pending. You need not stop consumers. Rejects with `SetupError` if the group
   * does not exist, and if `to` is not a place in a stream.
   */
  async seek(group: string, options: { to: SeekTarget }): Promise<void> {
    nonEmptyText(group, 'group', 'seek');
    const id = idIn(options);
    if (await this.#ask((transport) => transport.seekGroup(this.#stream, group, id))) return;
    throw new SetupError(`seek: stream '${this.#stream}' has no group '${group}'`);
  }

  /**
   * Removes a group and its list of pending entries (XGROUP DESTROY). The entries stay in the stream. Stop
   * its subscribers first: a running one creates the group again. Resolves with whether the group
   * existed.
   */
  async remove(group: string): Promise<boolean> {
    nonEmptyText(group, 'group', 'remove');
    return this.#ask((transport) => transport.removeGroup(this.#stream, group));
  }

  async #ask<T>(question: (transport: Transport) => Promise<T>): Promise<T> {
    const transport = await this.#transport();
    return asking({ kind: 'stream', name: this.#stream }, () => question(transport));
  }
}

/** The full name of a stream. Throws `SetupError` for what is no name. */
export function streamNamed(stream: unknown, prefix: string): string {
  nonEmptyText(stream, 'stream', 'groups');
  return `${prefix}${String(stream)}`;
}

function idIn(options: unknown): string {
  const expected = "'start', 'end', a Date or the id of an entry, such as '1700000000000-0'";
  if (!isObject(options))
    throw new SetupError(`seek: expected { to }, got ${got(options)}; 'to' is ${expected}`);
  checkKeys(options, ['to'], 'seek', 'seek');
  const { to } = options as { to?: unknown };
  if (to === 'start') return '0-0';
  if (to === 'end' || to === '$') return '$';
  if (to instanceof Date && to.getTime() >= 0)
    return to.getTime() === 0 ? '0-0' : idBefore(`${to.getTime()}-0`);
  const [, time, sequence = '0'] =
    /^(\d{1,20})(?:-(\d{1,20}))?$/.exec(typeof to === 'string' ? to : '') ?? [];
  if (time !== undefined) return `${time}-${sequence}`;
  throw new SetupError(`seek: 'to' must be ${expected}, got ${got(to)}`);
}
