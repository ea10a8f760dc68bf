import type { Target } from './address.ts';
import type { ServerClock } from './server-clock.ts';

/** The part of a transport that knows the server's time: messages that are sent later. */
export interface Timed {
  readonly clock: ServerClock;
  /** Keeps a frame on the server until it is due. Resolves with its handle. */
  sendLater(to: Target, frame: Uint8Array, later: Later): Promise<string>;
  /** Removes a frame that is not sent yet; false where there is none with this handle. */
  cancel(to: Target, handle: string): Promise<boolean>;
  /** Frames that are not sent yet, those due first first: `max` at most, after the first `skip`. */
  delayed(to: Target, skip: number, max: number): Promise<DelayedFrame[]>;
  /** From now on sends what is due as soon as it is, also what other processes delay. */
  attend(): void;
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
