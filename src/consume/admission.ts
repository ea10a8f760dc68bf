import type { Observers } from '../api/observer.ts';
import { NoReplyError } from '../errors.ts';
import { MESSAGE_ID_KEY, REDRIVEN_KEY } from '../message/message.ts';
import { idOfCall, type IdCalls } from '../rpc/responder/id-calls.ts';
import { MAX_ASKERS, idConflict } from '../transport/marks.ts';
import type { Completion } from './completion.ts';
import type { Attempt } from './dispatcher.ts';
import type { Once } from './once.ts';
import { emitReceived } from './reports.ts';
import type { Decision, Settler } from './settlement.ts';

/** Milliseconds before a message is looked at again whose duplicate is being handled; at most. */
const LOOK_AGAIN = 500;

export interface AdmissionOptions {
  /** Undefined where no message is handled once. */
  readonly once: Once | undefined;
  /** Undefined where no call is answered. */
  readonly idCalls: IdCalls | undefined;
  readonly settler: Settler;
  readonly completion: Completion;
  readonly observers: Observers;
}

/** Decides by the id of a message whether it is handled now. What is not is settled here. */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Undefined for a message without an id; else resolves with whether it is to be handled. */
  admit(attempt: Attempt): Promise<boolean> | undefined {
    const { once, idCalls } = this.#options;
    const { message } = attempt;
    const id = message.header(MESSAGE_ID_KEY);
    if (id === undefined) return undefined;
    if (idOfCall(message) !== undefined) {
      // An answer goes to all who wait, so nobody waits at a place that may not be answered.
      const isAnswered =
        idCalls !== undefined && attempt.replier.mayAnswer(message, message.replyTo as string);
      return isAnswered ? this.#admitCall(attempt, id, idCalls) : undefined;
    }
    return once === undefined || isFree(attempt) ? undefined : this.#admitOnce(attempt, id, once);
  }

  /** Whether observers hear here that the message has arrived: not while it waits for another with its id. */
  isAskedFirst(attempt: Attempt): boolean {
    const { message } = attempt;
    return (
      this.#options.once !== undefined &&
      message.header(MESSAGE_ID_KEY) !== undefined &&
      idOfCall(message) === undefined &&
      !isFree(attempt)
    );
  }

  /** Those of a batch that are to be handled. */
  async admitted(batch: readonly Attempt[]): Promise<Attempt[]> {
    const admitted = await Promise.all(batch.map(async (attempt) => this.admit(attempt) ?? true));
    return batch.filter((_, i) => admitted[i]);
  }

  /** Handles a message that was admitted. Where that fails, which it never should, its id is free again. */
  async run(attempt: Attempt, handle: () => Promise<void> | undefined): Promise<void> {
    try {
      await handle();
    } catch (error) {
      if (attempt.isClaimed) this.#options.idCalls?.release(attempt.message, true);
      throw error;
    }
  }

  async #admitOnce(attempt: Attempt, id: string, once: Once): Promise<boolean> {
    const { settler, observers } = this.#options;
    const wait = await once.take(attempt.delivery, id);
    if (wait !== undefined && wait > 0) {
      settler.lookAgain(attempt.delivery, Math.min(wait, LOOK_AGAIN));
      return false;
    }
    emitReceived(observers, attempt);
    if (wait === 0) return true;
    this.#settle(attempt, { how: wait === undefined ? 'pending' : 'ack' });
    return false;
  }

  async #admitCall(attempt: Attempt, id: string, idCalls: IdCalls): Promise<boolean> {
    const { message, delivery, outcome, replier } = attempt;
    const isRepeated = delivery.count > 1;
    const isExpired = outcome?.kind === 'expired';
    const isExhausted = outcome?.kind === 'failed' && outcome.stage === 'exhausted';
    // The deadline bounds the start: what has begun before is taken up again.
    if (outcome !== undefined && !isExhausted && !(isExpired && isRepeated)) return true;
    const found = await idCalls.begin(message, { isRepeated, onlyKnown: isExpired });
    switch (found?.state) {
      case undefined:
        this.#settle(attempt, { how: 'pending' });
        return false;
      case 'run':
        attempt.isClaimed = true;
        if (isExpired) attempt.outcome = undefined;
        return true;
      case 'unknown':
        return true;
      case 'joined':
        if (isExhausted) return true;
        break;
      case 'answered':
        await idCalls.sendKept(message, found, replier.format);
        break;
      case 'conflict':
        await this.#options.completion.refuse(attempt, idConflict(placeOf(attempt), id));
        break;
      case 'full':
        await this.#options.completion.refuse(
          attempt,
          new NoReplyError(`${MAX_ASKERS} callers wait for the call '${id}' already: ask later`),
        );
    }
    this.#settle(attempt, { how: 'ack' });
    return false;
  }

  #settle({ context, message, delivery }: Attempt, decision: Decision): void {
    void this.#options.settler.settle(context.subscriber, message, delivery, decision);
  }
}

/** Whether `once` does not ask: it has failed already, or was sent back from the dead letters, to be handled again. */
function isFree({ outcome, message }: Attempt): boolean {
  return outcome !== undefined || message.header(REDRIVEN_KEY) !== undefined;
}

function placeOf({ message }: Attempt): { kind: 'list' | 'stream'; name: string } {
  const { source } = message;
  return 'list' in source
    ? { kind: 'list', name: source.list }
    : { kind: 'stream', name: 'stream' in source ? source.stream : source.channel };
}
