import type { Mistake } from '../internal/mistake.ts';

/** How long `publish` waits for Redis to take a message that is sent alone and waits for no answer. */
export interface SendLimits {
  /**
   * Milliseconds for Redis to take the message, connecting included; `null`: no limit, the default.
   * Then `publish` rejects with `SendError`, and a message that waits for the connection is not sent.
   */
  timeout?: number | null;
  /** When it aborts, `publish` rejects with its reason, and a message that waits for the connection is not sent. */
  signal?: AbortSignal;
}

/** Messages that are sent together have no limits of their own. */
export interface NoLimits {
  timeout?: Mistake<"'timeout' is an option of messages that are sent one by one">;
  signal?: Mistake<"'signal' is an option of messages that are sent one by one">;
}
