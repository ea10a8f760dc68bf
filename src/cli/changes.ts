import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pause } from '../internal/deferred.ts';

/** Milliseconds between two scans of the folder. */
const INTERVAL = 250;

const isWatched = (name: string): boolean => /\.([cm]?[jt]sx?|json)$/.test(name);
const isIgnored = (name: string): boolean => name === 'node_modules' || name.startsWith('.');

/**
 * Yields the path of a changed file when code in a folder has changed, and then stayed the same for
 * one interval, so that a compiler that writes many files counts once. It polls: the file watchers
 * of operating systems lose a folder that is removed and created again, as builds do.
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

/** The modification time and size of each watched file, by its path. */
async function snapshot(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const scan = async (path: string): Promise<void> => {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []); // removed meanwhile
    await Promise.all(
      entries.map(async (entry) => {
        const inside = join(path, entry.name);
        if (entry.isDirectory()) return isIgnored(entry.name) ? undefined : scan(inside);
        if (!isWatched(entry.name)) return undefined;
        const found = await stat(inside).catch(() => undefined);
        if (found !== undefined) files.set(inside, `${found.mtimeMs} ${found.size}`);
      }),
    );
  };
  await scan(folder);
  return files;
}

/** The path of a file that differs between two snapshots; undefined if none does. */
function difference(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): string | undefined {
  for (const [path, state] of b) if (a.get(path) !== state) return path;
  for (const path of a.keys()) if (!b.has(path)) return path;
  return undefined;
}
