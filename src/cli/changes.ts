import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pause } from '../internal/deferred.ts';

/** Milliseconds between two looks. */
const INTERVAL = 250;

const isWatched = (name: string): boolean => /\.([cm]?[jt]sx?|json)$/.test(name);
const isLeftOut = (name: string): boolean => name === 'node_modules' || name.startsWith('.');

/**
 * Yields whenever code in a folder has changed and then not for one interval, so that a compiler
 * that writes many files counts once. It looks again and again, since what the operating systems
 * report gets lost when a folder is removed and made anew, which is what builds do.
 */
export async function* changes(folder: string, signal: AbortSignal): AsyncGenerator<string> {
  let known = await snapshot(folder);
  let before = known;
  while (!signal.aborted) {
    await pause(INTERVAL, signal);
    const now = await snapshot(folder);
    const changed = difference(known, now);
    if (changed !== undefined && now.size > 0 && difference(before, now) === undefined) {
      known = now;
      yield changed;
    }
    before = now;
  }
}

/** When each file was written last, and how long it is. */
async function snapshot(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const look = async (path: string): Promise<void> => {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []); // removed meanwhile
    await Promise.all(
      entries.map(async (entry) => {
        const inside = join(path, entry.name);
        if (entry.isDirectory()) return isLeftOut(entry.name) ? undefined : look(inside);
        if (!isWatched(entry.name)) return undefined;
        const found = await stat(inside).catch(() => undefined);
        if (found !== undefined) files.set(inside, `${found.mtimeMs} ${found.size}`);
      }),
    );
  };
  await look(folder);
  return files;
}

/** A file that is not the same in both. */
function difference(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): string | undefined {
  for (const [path, state] of b) if (a.get(path) !== state) return path;
  for (const path of a.keys()) if (!b.has(path)) return path;
  return undefined;
}
