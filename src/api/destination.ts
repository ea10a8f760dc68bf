import type { Mistake } from '../internal/mistake.ts';

export interface ChannelDestination {
  /** The message is sent to this channel (PUBLISH). */
  channel: string;
  /**
   * Sends with SPUBLISH, to subscribers with `sharded`. On a cluster, one node gets the message, not all. Needs
   * Redis 7. Default `false`.
   */
  sharded?: boolean;
  list?: never;
  stream?: never;
  maxlen?: Mistake<"'maxlen' is an option of streams">;
}

export interface ListDestination {
  /** The message is added to the end of this list (RPUSH). */
  list: string;
  channel?: never;
  sharded?: Mistake<"'sharded' is an option of channels">;
  stream?: never;
  maxlen?: Mistake<"'maxlen' is an option of streams">;
}

export interface StreamDestination {
  /** The message is added to this stream (XADD). */
  stream: string;
  /** The stream keeps about this many entries (`XADD … MAXLEN ~`). Default: all. */
  maxlen?: number;
  channel?: never;
  sharded?: Mistake<"'sharded' is an option of channels">;
  list?: never;
}

/** Where a message is sent: a channel, a list or a stream. */
export type Destination = ChannelDestination | ListDestination | StreamDestination;

/** Where the answer to a `publish` with `replyTo` is sent: a channel's name, a channel, a list or a stream. */
export type ReplyDestination =
  | string
  | { channel: string; list?: never; stream?: never }
  | { list: string; channel?: never; stream?: never }
  | { stream: string; channel?: never; list?: never };

/** The destinations that the object `T` names. */
type Named<T> = {
  [Kind in 'channel' | 'list' | 'stream']: T extends { readonly [K in Kind]: string }
    ? Kind
    : never;
}['channel' | 'list' | 'stream'];

type IsUnion<T, All = T> = T extends unknown ? ([All] extends [T] ? false : true) : never;

/** For an object with two destinations: the error of each. `unknown` for any other. */
export type OneDestination<T> =
  true extends IsUnion<Named<T>>
    ? {
        [Kind in Named<T>]: Mistake<'give one of channel, list and stream'>;
      }
    : unknown;

/** Whether `T` is the type {@link Destination} itself, as that of a variable is. */
export type IsDestination<T> = [T, Destination] extends [Destination, T]
  ? unknown extends T
    ? false
    : true
  : false;

/** {@link Destination} where `T` is just that; else `Other`. */
export type Held<T, Other> = true extends IsDestination<T> ? Destination : Other;

/** The destination that the object `T` means, so that the compiler's error is about that one. */
export type MeantDestination<T> =
  true extends IsUnion<Named<T>>
    ? OneDestination<T>
    : T extends { readonly stream: unknown }
      ? StreamDestination
      : T extends { readonly list: unknown }
        ? ListDestination
        : T extends { readonly channel: unknown }
          ? ChannelDestination
          : Destination;

/** The option of a message by a contract whose channel has parameters. */
export interface WithPath {
  /** The values of the parameters of the channel: `{ level: 'info' }` for `logs.{level}`. Each is a text without a dot. Default: none. */
  path?: Readonly<Record<string, string>>;
}
