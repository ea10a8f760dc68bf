import { IdConflictError } from '../errors.ts';
import { describe, type Target } from './address.ts';

// What the server remembers of ids. The marks of a list or stream lie beside it, in its slot.

/** What a message is sent once by. */
export interface Once {
  readonly id: string;
  /** Of the body: another body under the same id is refused. */
  readonly digest: string;
  /** Milliseconds in which the id is known. */
  readonly window: number;
  /** Called where the id was known, so that nothing is sent. */
  readonly onKnown?: () => void;
}

/** A message that one group, or the readers of one reliable list, handle once. */
export interface HandledOnce {
  /** The full name of the stream or list. */
  readonly name: string;
  /** Undefined for a list. */
  readonly group: string | undefined;
  readonly id: string;
}

/** A handled message, to be remembered by the script that acknowledges it. */
export interface Handled {
  readonly id: string;
  /** Milliseconds for which it is remembered. */
  readonly life: number;
}

/** A call with an id. */
export interface CallMark {
  /** The full name of the list or stream that its requests go to. */
  readonly name: string;
  readonly id: string;
}

/** Who waits for the answer to a call. */
export interface Asker {
  /** The id of the call at its caller. */
  readonly call: string;
  readonly replyTo: string;
  readonly correlationId: string;
  /** Until when it waits, in Unix milliseconds; undefined: for ever. */
  readonly deadline: number | undefined;
}

/** A request for a call that has an id. */
export interface CallRequest {
  /** Of the body. */
  readonly digest: string;
  /** Names whoever runs its handler: the id of the call at its caller, a colon, and a part of its own. */
  readonly owner: string;
  readonly asker: Asker;
  /** The request was delivered before, so that whoever ran it for the same call is gone. */
  readonly isRepeated: boolean;
  /** Take up only what is known: nobody waits for the answer any more. */
  readonly onlyKnown: boolean;
}

/** What became of a request for a call that has an id. */
export type CallState =
  /** Its handler is to run, here. */
  | { readonly state: 'run' }
  /** Its handler runs elsewhere, and the asker will be answered. */
  | { readonly state: 'joined' }
  /** As many as are remembered wait already. */
  | { readonly state: 'full' }
  /** The id was used for another body. */
  | { readonly state: 'conflict' }
  | { readonly state: 'unknown' }
  /** The answer that was kept, and who has not been sent it yet. */
  | { readonly state: 'answered'; readonly answer: Buffer; readonly askers: readonly Asker[] };

/** Who may wait for the answer to one call. */
export const MAX_ASKERS = 1_000;

/** Milliseconds for which the mark of a call that runs, or is to run again, outlives the last sign of life. */
export const UNANSWERED_LIFE = 600_000;

/** The marks of messages that are handled once and of calls that are answered once. */
export interface Marks {
  /**
   * Takes the mark of a message for an owner, who has it until `freeMark` or the acknowledgement, or
   * until it is gone: it is renewed. Resolves with 0, with -1 where the message was handled, or with
   * the milliseconds that another owner still has. Undefined where the connection is over.
   */
  takeMark(mark: HandledOnce, owner: string): Promise<number | undefined>;
  /** The script that acknowledged a message has remembered it: its mark is renewed no more. */
  settledMark(mark: HandledOnce, owner: string): void;
  /** Frees the mark of a message that was not handled, for whoever reads it next. */
  freeMark(mark: HandledOnce, owner: string): Promise<void>;
  /**
   * Takes up a request. Where it resolves with `run`, the mark is renewed until `endCall` or
   * `pauseCall`. Undefined where the connection is over.
   */
  beginCall(mark: CallMark, request: CallRequest): Promise<CallState | undefined>;
  /**
   * Ends a call: keeps its answer for `keep` milliseconds, or forgets the call where there is none to
   * keep. Resolves with those who are to be sent the answer; with none where another owner has taken
   * the call over.
   */
  endCall(
    mark: CallMark,
    request: CallRequest,
    answer: Buffer | undefined,
    keep: number,
  ): Promise<readonly Asker[]>;
  /** The handler will run again, or at least nobody runs it now: the next request may. */
  pauseCall(mark: CallMark, owner: string): Promise<void>;
  /** These have been sent the answer that is kept. */
  forgetAskers(mark: CallMark, askers: readonly Asker[]): Promise<void>;
  /** Asks for the answer of a call: the kept one, or to be answered when its handler is done. Never resolves with `run` or `conflict`. */
  askCall(mark: CallMark, asker: Asker): Promise<CallState>;
}

/** The error for an id that was used for another body. */
export function idConflict(to: Target, id: string): IdConflictError {
  return new IdConflictError(
    `the id '${id}' was used for another body, which was sent to ${describe(to)}: send another message under another id. The bytes of the bodies are compared, so fields in another order are another body`,
  );
}
