/** Where the files of a repository are read: pages and images. */
export interface Addresses {
  readonly page: string;
  readonly image: string;
}

export function addresses(manifest: {
  repository?: string | { url: string };
  version: string;
}): Addresses | undefined;

export function absolute(
  text: string,
  file: string,
  options: { root: string; at: Addresses; isShipped: (target: string) => boolean },
): string;

export function stage(options: {
  root?: string;
  dist?: string;
  folder: string;
  replaced?: Readonly<Record<string, string>>;
}): void;
