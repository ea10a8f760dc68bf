/** The values of the option `connections`. */
export const SHARINGS = ['shared', 'dedicated'] as const;

/** Whether sources that block share connections, or have one each. */
export type Sharing = (typeof SHARINGS)[number];

export interface SharingOptions {
  /** Default: shared by more than eight readers of one server, or of one slot of a cluster. */
  readonly connections?: Sharing | undefined;
}
