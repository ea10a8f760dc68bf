import type { Target } from './address.ts';
import type { Once } from './marks.ts';
import type { ServerClock } from './server-clock.ts';

/** The part of a transport that knows the server's time: messages that are sent later. */
export interface Timed {
  readonly clock: ServerClock;
  /**
   * Keeps a frame on the server until it is due. Resolves with its handle. With `once`, keeps nothing
   * where the id is known, and rejects with `IdConflictError` where that is for another body; the window
   * of the id begins when the frame is sent.
   */
  sendLater(to: Target, frame: Uint8Array, later: Later, once?: Once): Promise<string>;
  /** Removes a frame that is not sent yet, and forgets its id; false where there is none with this handle. */
  cancel(to: Target, handle: string): Promise<boolean>;
  /**
   * Asks for a turn of a repeated message, which one of all processes gets. Resolves with 0 where it was
   * taken before, or with milliseconds after which to ask again.
   */
  takeTurn(to: Target, turn: Turn): Promise<'yours' | 'removed' | number>;
  /** Sends a frame for a turn. Resolves with false where that was done meanwhile. */
  sendTurn(to: Target, frame: Uint8Array, turn: Turn): Promise<boolean>;
  /** Begins a series, also one that was removed, or removes it for all processes. */
  markTurns(to: Target, id: string, mark: 'begin' | 'remove'): Promise<void>;
  /** Frames that are not sent yet, those due first first: `max` at most, after the first `skip`. */
  delayed(to: Target, skip: number, max: number): Promise<DelayedFrame[]>;
}

/** When a frame is sent. */
export interface Later {
  /** The name by which it can be cancelled. */
  readonly handle: string;
  /** Milliseconds from now, on the server's clock. */
  readonly delay?: number | undefined;
  /** Server milliseconds. Given where `delay` is not. */
  readonly at?: number | undefined;
}

/** One turn of a repeated message. */
export interface Turn {
  /** Of the series, at its target. */
  readonly id: string;
  /** When it is due, in server milliseconds. */
  readonly time: number;
  /** Milliseconds for which the server remembers it. */
  readonly life: number;
}

/** A last turn that is further in the future, in milliseconds, is of a time before the server's clock was set back. */
export const SET_BACK = 5_000;

/** Milliseconds that a process has to send the frame of a turn that it has got. */
export const TURN_LEASE = 2_000;

/** A frame that waits on the server. */
export interface DelayedFrame {
  readonly handle: string;
  /** Server milliseconds. */
  readonly due: number;
  readonly frame: Buffer;
}

export interface TimedOptions {
  /** What the names begin with whose delayed messages are sent here. */
  readonly prefix?: string;
  /** Takes the count of delayed frames that the server refused to send when they were due. */
  readonly onRefused?: (count: number) => void;
}
