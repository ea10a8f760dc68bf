// Processes of this version and of an older one, whose sources come out of git.
import { execFileSync, fork, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { onTestFinished } from 'vitest';
import { repository, workFolder } from '../docs/program.ts';
import type { Orders } from './programs/peer.ts';

/** An older version to test with. */
export interface Older {
  readonly commit: string;
  /** Whether the processes of both versions may read one reliable list. */
  readonly sharesReliableLists: boolean;
}

/** Commits to test with as long as no version has a tag. */
const UNTAGGED: readonly Older[] = [
  // The keys beside a reliable list were other ones then.
  { commit: '8edab57', sharesReliableLists: false },
  // The first with the keys of today.
  { commit: '605934a', sharesReliableLists: true },
];

export type Version = 'old' | 'new';

function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: repository('.'), encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** The last tagged version before this one, or those without a tag; none where the sources come without history. */
export function olderVersions(): Older[] {
  const tag = git('describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*', 'HEAD~1');
  const wanted = tag === undefined ? UNTAGGED : [{ commit: tag, sharesReliableLists: true }];
  return wanted.filter(({ commit }) => git('cat-file', '-e', `${commit}^{commit}`) !== undefined);
}

/** A process; it is killed when the test ends, if it has not ended by then. */
export interface Peer {
  /** Has it do something, and resolves with the result. */
  tell<Order extends keyof Orders>(
    order: Order,
    ...args: Parameters<Orders[Order]>
  ): ReturnType<Orders[Order]>;
  /** SIGTERM: resolves with its exit code when it has ended. */
  end(): Promise<number | null>;
  kill(): Promise<number | null>;
}

export interface Peers {
  start(version: Version, url: string, prefix: string): Peer;
  remove(): void;
}

/** Compiles the program with both versions. */
export async function peers(commit: string): Promise<Peers> {
  const folder = workFolder();
  const sources = join(folder.path, 'sources');
  mkdirSync(sources);
  const archive = execFileSync('git', ['archive', commit, 'src', 'package.json'], {
    cwd: repository('.'),
    maxBuffer: 64 * 1024 * 1024,
  });
  execFileSync('tar', ['-x', '-C', sources], { input: archive });
  const roots: Record<Version, string> = { old: sources, new: repository('.') };
  for (const [version, root] of Object.entries(roots)) {
    await build({
      entryPoints: [repository('test/versions/programs/peer.ts')],
      outfile: join(folder.path, `${version}.mjs`),
      alias: { redstart: join(root, 'src', 'index.ts') },
      external: ['ioredis', 'reflect-metadata', 'croner', '@standard-schema/spec'],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      logLevel: 'error',
    });
  }
  return {
    start: (version, url, prefix) => peer(join(folder.path, `${version}.mjs`), [url, prefix]),
    remove: folder.remove,
  };
}

function peer(program: string, args: string[]): Peer {
  const child = fork(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const waiting = new Map<number, PromiseWithResolvers<never>>();
  let count = 0;
  child.on('message', ({ id, value, error }: { id: number; value: never; error?: string }) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(new Error(error));
  });
  void ended.then((code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the peer ended with ${code}`));
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const endedBy = (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return ended;
  };
  return {
    tell: (order, ...rest) => {
      const id = count++;
      const call = withResolvers<never>();
      waiting.set(id, call);
      child.send({ id, order, args: rest });
      return call.promise as never;
    },
    end: () => endedBy('SIGTERM'),
    kill: () => endedBy('SIGKILL'),
  };
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** Node 20 has no Promise.withResolvers. */
function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
