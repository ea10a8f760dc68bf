import type { Session } from '../rpc/session.ts';
import type { Source } from '../transport/source.ts';
import { Admission } from './admission.ts';
import type { Breaker } from './breaker.ts';
import { Completion } from './completion.ts';
import { DeadLetters } from './dead-letters.ts';
import { Once } from './once.ts';
import type { Environment, ReadingPlan } from './reading-plan.ts';
import { Settler, type Log } from './settlement.ts';

/** What a subscriber needs for the messages of one open source. */
export interface Parts {
  readonly settler: Settler;
  readonly completion: Completion;
  /** Undefined where no id of a message matters: on channels. */
  readonly admission: Admission | undefined;
}

/** What settles and answers the messages of one source. */
export function partsFor(
  source: Source,
  { source: from, ackPolicy, retry, deadLetter, noReply, once: life }: ReadingPlan,
  { format, name, isLastResort, onExpired, observers, report }: Environment,
  { transport, idCalls }: Session,
  log: Log,
  breaker: Breaker | undefined,
): Parts {
  const group = from.kind === 'stream' ? from.group : undefined;
  const place = { name: from.name, group };
  const once = life === undefined ? undefined : new Once(source, transport.marks, place, life);
  const settler = new Settler({
    source,
    once,
    policy: ackPolicy,
    noReply,
    retry,
    deadLetters: deadLetter && new DeadLetters(transport, deadLetter, format, group),
    observers,
    log,
    report,
  });
  const completion = new Completion({
    name,
    noReply,
    settler,
    idCalls,
    observers,
    isLastResort,
    onExpired,
    log,
    breaker,
  });
  const admission =
    from.kind === 'channel' || (noReply && once === undefined)
      ? undefined
      : new Admission({
          once,
          idCalls: noReply ? undefined : idCalls,
          settler,
          completion,
          observers,
        });
  return { settler, completion, admission };
}
