import type { PublishCommand } from '../api/middleware.ts';
import { clearTimer, setDeadline } from '../internal/clock.ts';
import { offAbort, onAbort } from '../internal/signals.ts';
import { SendError } from '../errors.ts';
import type { Session } from '../rpc/session.ts';
import { asSendError } from './pipeline.ts';
import { describe, type Target } from '../transport/address.ts';
import { sendOutbound, type Outbound, type Transport, type Wish } from '../transport/transport.ts';
import { knowTime } from './schedule.ts';

/** How long the caller of a plain publish waits for Redis to take the message. */
interface Limits {
  readonly timeout?: number | null;
  readonly signal?: AbortSignal;
}

/** Whether a publish has limits of its own. */
export function isLimited({ timeout, signal }: Limits): boolean {
  return signal !== undefined || (timeout !== undefined && timeout !== null);
}

/** A plain message; `patience` where its caller has set a limit. */
export interface PlainCommand extends PublishCommand {
  readonly patience?: Patience;
}

/** Has `send` send the command, and ends the wait for it as `limits` says, also while the session opens. */
export function limited(
  command: PublishCommand,
  limits: Limits,
  open: () => Session | Promise<Session>,
  send: (session: Session, command: PlainCommand) => Promise<unknown>,
): Promise<unknown> {
  const patience = new Patience(limits, command.to);
  const given = { ...command, patience };
  return patience.limit(() => {
    const session = open();
    // Not awaited where it is open: messages are sent in the order in which they are published.
    if (!(session instanceof Promise)) return send(session, given);
    return session.then((opened) => send(opened, given));
  });
}

/** Sends a plain command, which `prepare` makes a frame of. Rejects with `SendError`. */
export function transmit(
  transport: Transport,
  command: PlainCommand,
  prepare: () => Outbound,
): Promise<number | string> {
  const { extras, patience, to } = command;
  const send = (): Promise<number | string> =>
    patience?.send(transport, prepare()) ?? sendOutbound(transport, prepare());
  const sent =
    extras === undefined ? send() : knowTime([command], transport.timed.clock).then(send);
  return sent.catch((error: unknown) => {
    throw asSendError(to, error);
  });
}

/**
 * Ends one publish at its time limit, or when its signal aborts. What still waits for the connection
 * then is never sent.
 */
class Patience {
  readonly #limits: Limits;
  readonly #to: Target;
  #transport: Transport | undefined;
  #wish: Wish | undefined;
  #isOver = false;

  constructor(limits: Limits, to: Target) {
    this.#limits = limits;
    this.#to = to;
  }

  /** Settles as `work` does, or rejects with `SendError` or the reason of the signal. */
  limit<T>(work: () => Promise<T>): Promise<T> {
    const { timeout = null, signal } = this.#limits;
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#isOver = true;
        if (this.#wish !== undefined) this.#wish.isWanted = false;
        clearTimer(timer);
        if (signal !== undefined) offAbort(signal, aborted);
      };
      const aborted = (): void => {
        end();
        reject(signal?.reason as Error);
      };
      const expired = (): void => {
        end();
        reject(this.#expired(timeout as number));
      };
      const timer = timeout === null ? undefined : setDeadline(expired, timeout);
      if (signal !== undefined) onAbort(signal, aborted);
      try {
        work().then(resolve, reject).finally(end);
      } catch (error) {
        end();
        reject(error);
      }
    });
  }

  /** Sends the frame, unless the time is over: then nobody waits for the result. */
  send(transport: Transport, outbound: Outbound): Promise<number | string> {
    this.#transport = transport;
    const { to, frame, once, later } = outbound;
    return new Promise((sent, refused) => {
      if (this.#isOver) return;
      this.#wish = { isWanted: true, isWaiting: false };
      if (later !== undefined) sendOutbound(transport, outbound).then(sent, refused);
      else if (once !== undefined)
        transport.sendOnce(to, frame, once, this.#wish).then(sent, refused);
      else transport.post(to, frame, Object.assign(this.#wish, { sent, refused }));
    });
  }

  #expired(timeout: number): SendError {
    const down = this.#transport?.downFor ?? 0;
    const why = down > 0 ? `not connected to Redis for ${Math.round(down)} ms` : 'Redis is slow';
    const isSent = this.#wish !== undefined && !this.#wish.isWaiting;
    const what = isSent ? 'it may arrive, or have arrived' : 'it is not sent';
    const cause = new Error(`no confirmation within ${timeout} ms (${why}): ${what}`);
    return new SendError(describe(this.#to), cause);
  }
}
