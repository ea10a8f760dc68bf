import type { Mistake } from '../internal/mistake.ts';

/** How long `publish` waits for Redis to take a message that is sent alone and waits for no answer. */
export interface SendLimits {
  /**
   * Milliseconds for Redis to take the message, connecting included; `null`: no limit. After that `publish`
   * rejects with `SendError`, and a message that still waits for the connection is not sent. Default `null`.
   */
  timeout?: number | null;
  /**
   * When it aborts, `publish` rejects with its reason, and a message that still waits for the connection is not
   * sent. Default: none.
   */
  signal?: AbortSignal;
}

/** Messages that are sent together have no limits of their own. */
export interface NoLimits {
  timeout?: Mistake<"'timeout' is an option of messages that are sent one by one">;
  signal?: Mistake<"'signal' is an option of messages that are sent one by one">;
}
