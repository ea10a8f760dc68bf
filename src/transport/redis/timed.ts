import type { Redis } from 'ioredis';
import { settledWithin } from '../../internal/deferred.ts';
import type { Target } from '../address.ts';
import { idConflict, type Once } from '../marks.ts';
import { ServerClock } from '../server-clock.ts';
import type { Report, Sources } from '../source.ts';
import {
  SET_BACK,
  TURN_LEASE,
  type DelayedFrame,
  type Later,
  type Timed,
  type TimedOptions,
  type Turn,
} from '../timed.ts';
import { commandClassOf } from './commands.ts';
import type { Connections } from './connections.ts';
import { DelayedKeys, indexKey, seriesKey, storeKind } from './delayed-keys.ts';
import { CANCEL, HINT, KEEP, LIST, SCHEDULE } from './delayed-scripts.ts';
import { Mover } from './mover.ts';
import { sentKey } from './send-once.ts';
import { MARK_TURNS, SEND_TURN, TAKE_TURN } from './turn-scripts.ts';

/** Milliseconds for which the server knows that a series was removed. */
const REMOVED_LIFE = 30 * 86_400_000;

/** Milliseconds between two questions for the server's time: somebody may set its clock. */
const UPDATE = 60_000;

/** Milliseconds that a start waits for the server's time. */
const PATIENCE = 1_000;

/** What one server or cluster sends later, and its time. */
export class RedisTimed implements Timed {
  readonly clock: ServerClock;
  readonly #client: Redis;
  readonly #index: string;
  readonly #isCluster: boolean;
  readonly #mover: Mover;
  /** Milliseconds that `close` takes at most. */
  readonly #patience: number;
  #updates: NodeJS.Timeout | undefined;

  constructor(
    { client, isCluster, timings }: Connections,
    report: Report,
    listen: Sources['listen'],
    { prefix = '', onRefused = () => {} }: TimedOptions,
  ) {
    this.clock = new ServerClock(async () => milliseconds(await timeOf(client, isCluster)));
    this.#client = client;
    this.#index = indexKey(prefix);
    this.#isCluster = isCluster;
    const { clock } = this;
    const index = this.#index;
    this.#patience = timings.leave;
    this.#mover = new Mover({ client, index, clock, timings, report, onRefused, listen });
  }

  /** The connection is up for the first time. Resolves when the server has told its time, in 1 s at most. */
  async begin(): Promise<void> {
    this.#mover.begin();
    this.#updates ??= setInterval(() => void this.clock.update(), UPDATE).unref();
    await settledWithin(this.clock.update(), PATIENCE);
  }

  /** The connection is up again. */
  wake(): void {
    void this.clock.update();
    this.#mover.begin();
  }

  /** Resolves when nothing is in hand here any more, within a second. */
  async close(): Promise<void> {
    clearInterval(this.#updates);
    await settledWithin(this.#mover.close(), this.#patience);
  }

  /**
   * Keeps a frame until it is due. Resolves with its handle. On a cluster, the index is on another node:
   * the store is announced there before, so that it is found whatever happens to this process, and after,
   * because a mover that looked in between has found nothing.
   */
  async sendLater(to: Target, frame: Uint8Array, later: Later, once?: Once): Promise<string> {
    const keys = new DelayedKeys(to);
    const due = dueOf(later);
    if (!this.#isCluster) {
      const { keys: all, args } = this.#schedule(to, frame, later, once);
      return this.scheduled(to, later, once, await SCHEDULE.run(this.#client, all, args));
    }
    const isFirst = Number(await this.#hint(keys, due, 0));
    const args = [...due, later.handle, valueOf(to, frame, once), ...rememberedBy(once)];
    const all = [keys.dues, keys.frames, ...(once === undefined ? [] : [sentKey(to, once.id)])];
    const wait = await KEEP.run(this.#client, all, args);
    await this.#hint(keys, due, isFirst === 1 ? 2 : 1);
    return this.scheduled(to, later, once, wait);
  }

  /** What keeping a frame resolves with. Throws `IdConflictError` where its id is for another body. */
  scheduled(to: Target, { handle }: Later, once: Once | undefined, reply: unknown): string {
    const wait = Number(reply);
    if (wait === -2) throw idConflict(to, (once as Once).id);
    if (wait === -1) once?.onKnown?.();
    else this.#mover.expect(wait);
    return handle;
  }

  /** The arguments of an EVAL that keeps a frame, for a transaction on a single server. */
  inFull(
    to: Target,
    frame: Uint8Array,
    later: Later,
    once: Once | undefined,
  ): (string | number | Buffer)[] {
    this.#mover.expect(later.delay ?? 0);
    const { keys, args } = this.#schedule(to, frame, later, once);
    return SCHEDULE.inFull(keys, args);
  }

  async cancel(to: Target, handle: string): Promise<boolean> {
    const { dues, frames } = new DelayedKeys(to);
    return (
      Number(await CANCEL.run(this.#client, [dues, frames, sentKey(to, handle)], [handle])) === 1
    );
  }

  async takeTurn(to: Target, { id, time, life }: Turn): Promise<'yours' | 'removed' | number> {
    const args = [time, TURN_LEASE, life, SET_BACK];
    const reply = await TAKE_TURN.run(this.#client, [seriesKey(to, id)], args);
    const wait = Number(reply);
    if (wait === -1) return 'yours';
    return wait === -2 ? 'removed' : wait;
  }

  async sendTurn(to: Target, frame: Uint8Array, { id, time, life }: Turn): Promise<boolean> {
    const where = to.kind === 'channel' ? [] : [to.name];
    const args = [storeKind(to), to.name, to.maxlen ?? '', frame as Buffer, time, life];
    const reply = await SEND_TURN.run(this.#client, [seriesKey(to, id), ...where], args);
    return Number(reply) === 1;
  }

  async markTurns(to: Target, id: string, mark: 'begin' | 'remove'): Promise<void> {
    await MARK_TURNS.run(this.#client, [seriesKey(to, id)], [mark, REMOVED_LIFE]);
  }

  async delayed(to: Target, skip: number, max: number): Promise<DelayedFrame[]> {
    const { dues, frames } = new DelayedKeys(to);
    const reply = await LIST.run(this.#client, [dues, frames], [skip, skip + max - 1]);
    const rows = reply as Buffer[];
    const found: DelayedFrame[] = [];
    for (let i = 0; i + 2 < rows.length; i += 3) {
      const value = rows[i + 2] as Buffer;
      const frame = value.subarray(value.indexOf(':') + 1);
      found.push({ handle: String(rows[i]), due: Number(rows[i + 1]), frame });
    }
    return found;
  }

  #hint(keys: DelayedKeys, due: [string, number], notify: 0 | 1 | 2): Promise<unknown> {
    return HINT.run(this.#client, [this.#index], [keys.store, ...due, notify]);
  }

  #schedule(
    to: Target,
    frame: Uint8Array,
    later: Later,
    once: Once | undefined,
  ): { keys: string[]; args: (string | number | Buffer)[] } {
    const { store, dues, frames } = new DelayedKeys(to);
    return {
      keys: [this.#index, dues, frames, ...(once === undefined ? [] : [sentKey(to, once.id)])],
      args: [
        ...[store, ...dueOf(later), later.handle, valueOf(to, frame, once)],
        ...rememberedBy(once),
      ],
    };
  }
}

function dueOf({ delay, at }: Later): [how: 'delay' | 'at', ms: number] {
  return delay === undefined ? ['at', Math.ceil(at ?? 0)] : ['delay', Math.ceil(delay)];
}

/** What is needed to send a frame is before the first colon: for a stream, its `maxlen`; `i` where it has an id. */
function valueOf({ maxlen }: Target, frame: Uint8Array, once: Once | undefined): Buffer {
  return Buffer.concat([Buffer.from(`${maxlen ?? ''}${once === undefined ? '' : 'i'}:`), frame]);
}

/** TIME; on a cluster that of the master of the first slot, so that all processes ask the same one. */
function timeOf(client: Redis, isCluster: boolean): Promise<unknown> {
  if (!isCluster) return client.time();
  const Command = commandClassOf(client);
  return client.sendCommand(
    Object.assign(new Command('time', []), { slot: 0 }),
  ) as Promise<unknown>;
}

/** The reply of TIME, in milliseconds. */
function milliseconds(reply: unknown): number {
  const [seconds, micros] = reply as [unknown, unknown];
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}

function rememberedBy(once: Once | undefined): (string | number)[] {
  return once === undefined ? [] : [once.digest, Math.ceil(once.window)];
}
