/** What a source reads with. One of its reads may block at a time. */
export interface Reader {
  /** Called after every reconnect, before the next read. */
  onReconnect: (() => void) | undefined;
  /** A made-up name for the consumer of a group. Sources that share connections have it in common, but no two of one stream. */
  readonly consumer: string;
  /** Sends a command and resolves with its reply, strings as buffers; with `null` once stopped. One that blocks does so for at most `timings.block`. */
  run(name: string, args: (string | number | Buffer)[]): Promise<unknown>;
  /** Ends the read that blocks now, if any: it resolves with what it has fetched, or as an empty one does. */
  interrupt(): Promise<void>;
  /** Ends a blocked read; what it has fetched already still arrives. */
  stop(): Promise<void>;
  close(): void;
  /** After `close`, where nothing is pending for {@link consumer}: another source may read as it. */
  freeConsumer?(): void;
}
