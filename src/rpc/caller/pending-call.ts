import type { Expiring } from '../../internal/deadlines.ts';
import { describe } from '../../transport/address.ts';
import type { Listener } from '../../transport/source.ts';
import type { Receipt } from '../../transport/transport.ts';
import { SendError } from '../../errors.ts';
import type { CallCommand } from './call.ts';

/** What a call has its calls do when it has been sent, or could not be. */
export interface CallOwner {
  reached(call: PendingCall, receivers: number): void;
  fail(call: PendingCall, reason: unknown): void;
}

/** A reply channel of one call alone. */
export interface OwnReply {
  readonly address: { readonly name: string; readonly kind: 'channel' };
  readonly listening: Promise<Listener>;
}

/** A call that waits for its answer, and for the server to take it. */
export class PendingCall implements Expiring, Receipt {
  readonly command: CallCommand;
  /** Whether the correlation id is the caller's own choice. */
  readonly isNamed: boolean;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Receivers that PUBLISH reached, once known; 1 for a list or a stream. */
  receivers: number | undefined;
  /** Receivers that said that they will not answer. */
  declined = 0;
  /** What the last of them said. */
  refusal: Error | undefined = undefined;
  /** Inboxes of those whose handlers can be cancelled. */
  responders: string[] | undefined = undefined;
  onAbort: (() => void) | undefined = undefined;
  /** Where its answer comes, if not to the inbox that all share. */
  ownReply: OwnReply | undefined = undefined;
  readonly timeout: number;
  expiresAt = 0;
  queue: Expiring['queue'] = undefined;
  previous: Expiring | undefined = undefined;
  next: Expiring | undefined = undefined;
  readonly #owner: CallOwner;

  constructor(
    owner: CallOwner,
    command: CallCommand,
    isNamed: boolean,
    resolve: (answer: unknown) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#owner = owner;
    this.command = command;
    this.isNamed = isNamed;
    this.resolve = resolve;
    this.reject = reject;
    this.receivers = command.to.kind === 'channel' ? undefined : 1;
    this.timeout = command.timeout ?? 0;
  }

  sent(reply: number | string): void {
    if (this.command.to.kind === 'channel') this.#owner.reached(this, reply as number);
  }

  refused(error: unknown): void {
    this.#owner.fail(this, new SendError(describe(this.command.to), error));
  }
}
