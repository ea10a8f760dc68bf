/** What the names of all channels begin with that receive answers, where the user gives no `rpc.inboxPrefix`. */
export const INBOX_PREFIX = 'redstart:inbox:';

export interface InboxOptions {
  /** What the names of the inboxes begin with. Default {@link INBOX_PREFIX}. */
  readonly inboxPrefix?: string | undefined;
}
