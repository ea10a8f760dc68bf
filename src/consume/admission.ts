import { NoReplyError } from '../errors.ts';
import { MESSAGE_ID_KEY, REDRIVEN_KEY } from '../message/message.ts';
import { idOfCall, type IdCalls } from '../rpc/responder/id-calls.ts';
import { MAX_ASKERS, idConflict } from '../transport/marks.ts';
import type { Completion } from './completion.ts';
import type { Attempt } from './dispatcher.ts';
import type { Once } from './once.ts';
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
    // What was sent back from the dead letters is to be handled again.
    const isFree = attempt.outcome !== undefined || message.header(REDRIVEN_KEY) !== undefined;
    return once === undefined || isFree ? undefined : this.#admitOnce(attempt, id, once);
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
    const wait = await once.take(attempt.delivery, id);
    if (wait === 0) return true;
    if (wait === undefined) this.#settle(attempt, { how: 'pending' });
    else if (wait < 0) this.#settle(attempt, { how: 'ack' });
    else {
      const delay = Math.min(wait, LOOK_AGAIN);
      this.#settle(attempt, { how: 'nack', delay, isCounted: false });
    }
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

function placeOf({ message }: Attempt): { kind: 'list' | 'stream'; name: string } {
  const { source } = message;
  return 'list' in source
    ? { kind: 'list', name: source.list }
    : { kind: 'stream', name: 'stream' in source ? source.stream : source.channel };
}
