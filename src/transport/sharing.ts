/** The values of the option `connections`. */
export const SHARINGS = ['shared', 'dedicated'] as const;

/** Whether sources that block share connections, or have one each. */
export type Sharing = (typeof SHARINGS)[number];

export interface SharingOptions {
  /** Default `dedicated`. */
  readonly connections?: Sharing | undefined;
}
