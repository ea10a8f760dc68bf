import { MESSAGE_ID } from './headers.ts';

/** The key of an option of ours, beside those that users have: the turn of a repeated message. */
export const TURN: unique symbol = Symbol('turn');

/** What a message has beside body and headers; undefined as a whole for most messages. */
export interface Extras {
  /** Sent once under this id; a call is handled once. */
  readonly id?: string | undefined;
  /** Milliseconds in which the id is known; undefined for the broker's. */
  readonly idWindow?: number | undefined;
  /** Set once it turns out that a message with this id was sent before, so that this one is not. */
  isKnown?: boolean;
  /** Sent later: the name by which it can be cancelled until then. */
  readonly handle?: string | undefined;
  /** Milliseconds until it is sent. */
  readonly delay?: number | undefined;
  /** When it is sent, in the server's Unix milliseconds. */
  readonly at?: number | undefined;
  /** Milliseconds from when it is sent until it is dropped unhandled. */
  readonly expires?: number | undefined;
  /** Sent as one of a series. */
  readonly turn?: { readonly id: string; readonly time: number; readonly life: number } | undefined;
}

/** The headers by which a message carries its extras. */
export function extraHeaders({ id }: Extras): Record<string, string> {
  return id === undefined ? {} : { [MESSAGE_ID]: id };
}
