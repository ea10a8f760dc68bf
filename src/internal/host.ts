import { hostname } from 'node:os';

/** The host's name. Deno without `--allow-sys` gives none. */
export function hostName(): string {
  try {
    return hostname();
  } catch {
    return 'unknown-host';
  }
}
