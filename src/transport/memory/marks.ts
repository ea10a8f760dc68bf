import { clearTimer, setTimer } from '../../internal/clock.ts';
import type { Target } from '../address.ts';
import {
  MAX_ASKERS,
  UNANSWERED_LIFE,
  idConflict,
  type Asker,
  type CallMark,
  type CallRequest,
  type CallState,
  type HandledOnce,
  type Once,
} from '../marks.ts';

/** Values under keys, each for a time of its own. */
export class Expiring<T> {
  readonly #kept = new Map<string, { readonly value: T; readonly timer: NodeJS.Timeout }>();

  get(key: string): T | undefined {
    return this.#kept.get(key)?.value;
  }

  set(key: string, value: T, life: number): void {
    this.delete(key);
    const timer = setTimer(() => this.#kept.delete(key), life).unref();
    this.#kept.set(key, { value, timer });
  }

  delete(key: string): void {
    clearTimer(this.#kept.get(key)?.timer);
    this.#kept.delete(key);
  }
}

/** A call that runs, is to run again, or was answered. */
interface KnownCall {
  readonly digest: string;
  /** Undefined while nobody runs it. */
  owner: string | undefined;
  answer: Buffer | undefined;
  readonly askers: Map<string, Asker>;
}

/** A message with an id. */
interface SentMessage {
  readonly digest: string;
  readonly window: number;
  /** What sending returned; undefined while it waits to be sent. */
  readonly reply: string | undefined;
}

/** What a server knows of the ids of messages. An owner has a mark until it frees it: nothing lapses here. */
export class MemoryMarks {
  /** Messages that were sent, or are to be sent later. */
  readonly #sent = new Expiring<SentMessage>();
  readonly #handled = new Expiring<true>();
  /** Who handles a message now. */
  readonly #owners = new Map<string, string>();
  readonly #calls = new Expiring<KnownCall>();

  /** Calls `send` unless the id is known. Returns the id of the entry, or the id itself for a list. */
  sendOnce(to: Target, { id, digest, window, onKnown }: Once, send: () => number | string): string {
    const key = keyOf(to.name, id);
    const before = this.#sent.get(key);
    if (before !== undefined && before.digest !== digest) throw idConflict(to, id);
    const sent = before ?? { digest, window, reply: String(send()) };
    if (before === undefined) this.#sent.set(key, sent, window);
    else onKnown?.();
    return to.kind === 'list' ? id : (sent.reply ?? id);
  }

  /** Whether the id of a message that is to be sent later is known; it is from now on. */
  waits(to: Target, { id, digest, window, onKnown }: Once): boolean {
    const key = keyOf(to.name, id);
    const before = this.#sent.get(key);
    if (before !== undefined && before.digest !== digest) throw idConflict(to, id);
    if (before === undefined) this.#sent.set(key, { digest, window, reply: undefined }, Infinity);
    else onKnown?.();
    return before !== undefined;
  }

  /** A message that was to be sent later is sent: the window of its id begins. */
  begin(to: Target, id: string, reply: number | string): void {
    const key = keyOf(to.name, id);
    const before = this.#sent.get(key);
    if (before === undefined || before.reply !== undefined) return;
    this.#sent.set(key, { ...before, reply: String(reply) }, before.window);
  }

  /** A message that was to be sent later is cancelled. */
  forget(to: Target, id: string): void {
    const key = keyOf(to.name, id);
    if (this.#sent.get(key)?.reply === undefined) this.#sent.delete(key);
  }

  take(mark: HandledOnce, owner: string): number {
    const key = keyOf(mark.name, mark.group, mark.id);
    if (this.#handled.get(key) === true) return -1;
    const other = this.#owners.get(key);
    if (other !== undefined && other !== owner) return Infinity;
    this.#owners.set(key, owner);
    return 0;
  }

  free(mark: HandledOnce, owner: string): void {
    const key = keyOf(mark.name, mark.group, mark.id);
    if (this.#owners.get(key) === owner) this.#owners.delete(key);
  }

  handled(mark: HandledOnce, life: number): void {
    const key = keyOf(mark.name, mark.group, mark.id);
    this.#owners.delete(key);
    this.#handled.set(key, true, life);
  }

  beginCall({ name, id }: CallMark, request: CallRequest): CallState {
    const { digest, owner, asker, isRepeated, onlyKnown } = request;
    const key = keyOf(name, id);
    const known = this.#calls.get(key);
    if (known === undefined) {
      if (onlyKnown) return { state: 'unknown' };
      const askers = new Map([[asker.call, asker]]);
      this.#calls.set(key, { digest, owner, answer: undefined, askers }, UNANSWERED_LIFE);
      return { state: 'run' };
    }
    if (known.digest !== digest) return { state: 'conflict' };
    if (known.answer !== undefined)
      return { state: 'answered', answer: known.answer, askers: [...known.askers.values()] };
    const isGone = isRepeated && known.owner?.startsWith(`${asker.call}:`) === true;
    if (known.owner !== undefined && !isGone) return join(known, asker);
    known.owner = owner;
    known.askers.set(asker.call, asker);
    this.#calls.set(key, known, UNANSWERED_LIFE);
    return { state: 'run' };
  }

  endCall(
    { name, id }: CallMark,
    { digest, owner, asker }: CallRequest,
    answer: Buffer | undefined,
    keep: number,
  ): Asker[] {
    const key = keyOf(name, id);
    const known = this.#calls.get(key) ?? {
      digest,
      owner,
      answer: undefined,
      askers: new Map([[asker.call, asker]]),
    };
    if (known.owner !== owner) return [];
    known.answer = answer;
    if (answer !== undefined && keep >= 1) this.#calls.set(key, known, keep);
    else this.#calls.delete(key);
    return [...known.askers.values()];
  }

  pauseCall({ name, id }: CallMark, owner: string): void {
    const known = this.#calls.get(keyOf(name, id));
    if (known?.owner === owner && known.answer === undefined) known.owner = undefined;
  }

  forgetAskers({ name, id }: CallMark, askers: readonly Asker[]): void {
    for (const { call } of askers) this.#calls.get(keyOf(name, id))?.askers.delete(call);
  }

  askCall({ name, id }: CallMark, asker: Asker): CallState {
    const known = this.#calls.get(keyOf(name, id));
    if (known === undefined) return { state: 'unknown' };
    if (known.answer !== undefined) return { state: 'answered', answer: known.answer, askers: [] };
    return join(known, asker);
  }
}

function join({ askers }: KnownCall, asker: Asker): CallState {
  if (askers.size >= MAX_ASKERS && !askers.has(asker.call)) return { state: 'full' };
  askers.set(asker.call, asker);
  return { state: 'joined' };
}

function keyOf(...parts: readonly (string | undefined)[]): string {
  return JSON.stringify(parts);
}
