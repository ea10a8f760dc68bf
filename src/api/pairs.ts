/**
 * Pairs of options that are refused at run time, for the compiler. One table covers every place where a
 * handler's options are written: in the address, in a contract, and beside either.
 */
import type { Mistake } from '../internal/mistake.ts';
import type { AckPolicy } from './ack-policy.ts';

type Retrying = 'nack-on-error';

type NotRetrying = Exclude<AckPolicy, Retrying>;

/** Something is given. */
type Any = string | number | boolean | object;

/** If `G` has `Both`: the key whose type becomes the error, the key for it where that one is elsewhere, and the text. */
type Pair<G, Both, Key extends string, Other extends string, Text extends string> = G extends Both
  ? readonly [Key, Other, Text]
  : never;

/** For each of `Keys`: whether `G` has it and `Other`. */
type EachPair<
  G,
  Keys extends string,
  Other,
  OtherKey extends string,
  Before extends string,
  After extends string,
> = {
  [K in Keys]: Pair<G, Other & Readonly<Record<K, Any>>, K, OtherKey, `${Before}'${K}'${After}`>;
}[Keys];

/** The name of a channel with parameters. */
type Template = `${string}{${string}}${string}`;

/** The pairs that the options in `G` have. */
type PairsIn<G> =
  | EachPair<
      G,
      'filter',
      { readonly batch: true },
      'batch',
      '',
      " chooses for one message and cannot be combined with 'batch'"
    >
  | Pair<
      G,
      { readonly ordered: true; readonly batch: true },
      'ordered',
      'batch',
      "'ordered' hands over one message of a key at a time and cannot be combined with 'batch'"
    >
  | Pair<
      G,
      { readonly many: true; readonly batch: true },
      'batch',
      'many',
      "a contract with 'many' answers each message with a stream, which a 'batch' handler cannot"
    >
  | (G extends { readonly batch: infer B } ? (true extends B ? never : Unbatched<G>) : Unbatched<G>)
  | Pair<
      G,
      { readonly retry: object; readonly ackPolicy: NotRetrying },
      'retry',
      'ackPolicy',
      "'retry' needs the ackPolicy 'nack-on-error', which delivers again"
    >
  | Pair<
      G,
      { readonly pause: object; readonly ackPolicy: NotRetrying },
      'pause',
      'ackPolicy',
      "'pause' needs the ackPolicy 'nack-on-error', which delivers again"
    >
  | Pair<
      G,
      { readonly retry: false; readonly ackPolicy: Retrying },
      'retry',
      'ackPolicy',
      "'retry: false' contradicts the ackPolicy 'nack-on-error'"
    >
  | Pair<
      G,
      { readonly retry: false; readonly pause: object },
      'pause',
      'retry',
      "'pause' cannot be combined with 'retry: false', which never delivers again"
    >
  | Pair<
      G,
      { readonly once: number; readonly ackPolicy: 'ack-first' },
      'once',
      'ackPolicy',
      "'once' remembers what was handled, and 'ack-first' acknowledges before"
    >
  | EachPair<
      G,
      'retry' | 'deadLetter' | 'pause' | 'claim' | 'once',
      { readonly noAck: true },
      'noAck',
      '',
      " cannot be combined with 'noAck'"
    >
  | EachPair<
      G,
      'retry' | 'deadLetter' | 'pause' | 'once',
      { readonly reliable: false },
      'reliable',
      '',
      " needs a stream with 'group', or a list with 'reliable: true'"
    >
  | Pair<
      G,
      { readonly sharded: true; readonly pattern: true },
      'pattern',
      'sharded',
      "a channel with 'sharded' has one exact name, and no 'pattern'"
    >
  | (G extends { readonly pattern: false }
      ? never
      : Pair<
          G,
          { readonly sharded: true; readonly channel: Template },
          'sharded',
          'channel',
          "a channel with 'sharded' has one exact name: set 'pattern: false' if the braces are part of it"
        >);

type Unbatched<G> = EachPair<G, 'maxWait', unknown, 'batch', '', " needs 'batch: true'">;

/** The key that is in `P`, and the text. */
type Blamed<Found, P> = Found extends readonly [infer Key, infer Other, infer Text]
  ? readonly [Key extends keyof P ? Key : Other, Text]
  : never;

/** The errors for `P`, of whose options and others `G` is made. */
type Errors<G, P> = [PairsIn<G>] extends [never]
  ? unknown
  : {
      [Found in Blamed<PairsIn<G>, P> as Found[0] & string]?: Mistake<Found[1] & string>;
    };

/** What the options in `A`, an address or a contract's, exclude in itself. */
export type Excluded<A> = Errors<A, A>;

/** What a contract whose answer is a stream excludes in its address `A`, too. */
export type ExcludedIn<A, Many extends boolean> = Errors<
  Many extends true ? A & { readonly many: true } : A,
  A
>;

/** What is excluded in `P`, the options beside the address `A`, whose own ones win over the address's. */
export type ExcludedBeside<A, P> = Errors<
  Omit<A extends string ? { readonly channel: A } : A, keyof Given<P>> & Given<P>,
  P
>;

/** The options that pairs are about. Others are not looked at: the type of a schema may not be known yet. */
type Paired =
  | 'filter'
  | 'batch'
  | 'ordered'
  | 'many'
  | 'maxWait'
  | 'retry'
  | 'ackPolicy'
  | 'pause'
  | 'once'
  | 'noAck'
  | 'deadLetter'
  | 'claim'
  | 'reliable'
  | 'sharded'
  | 'pattern'
  | 'channel';

/** An option that is undefined is not given. */
type Given<P> = { [K in Extract<keyof P, Paired> as P[K] extends undefined ? never : K]: P[K] };
