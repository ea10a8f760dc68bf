/** The arguments of one `publish` of a pipeline, not checked yet. */
export interface CollectedMessage {
  readonly body: unknown;
  readonly to: unknown;
  readonly more: object | undefined;
  /** The check of a publisher's schema. */
  readonly check?: () => Promise<void>;
}

/** The same by a publisher; `prefix` is what its names begin with. */
export interface CollectedByPublisher extends CollectedMessage {
  readonly prefix: string;
}
