/** One message as it arrived. */
export interface Delivery {
  /** The frame; the fields and values, in turn, of a stream entry that holds no frame. */
  readonly frame: Buffer | readonly Buffer[];
  /** The concrete channel, list or stream. */
  readonly name: string;
  /** The id of a stream entry. */
  readonly id: string | undefined;
  /** How often it has been delivered, this time included. It goes with the message from consumer to consumer. */
  readonly count: number;
  /** Milliseconds that are left of the pause which it was in when its last consumer ended; with lanes alone. */
  readonly pause?: number;
  /** It was delivered before, and is not counted as delivered again yet: the source's `begins` counts it. */
  readonly comesAgain?: true;
}
