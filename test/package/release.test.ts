// `npm run pack` and `npm run release`: links, versions and the changelog here; both scripts as a whole, in a copy of
// the repository, are part of `npm run full`.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { absolute, addresses, stage } from '../../scripts/pack.mjs';
import { isLater, released } from '../../scripts/release.mjs';
import { repository as path } from '../docs/program.ts';
import { builtPackage } from '../support/built.ts';
import { isLong } from '../support/long.ts';

const root = path('.');
const repository = { type: 'git', url: 'git+https://example.com/team/redstart.git' };

const changelog = '# Changelog\n\n## Unreleased\n\n### Added\n\n- a\n\n## 0.1.0\n\n- b\n';

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'redstart-release-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Git, and the scripts that call it, with a name to commit by. */
const env = {
  ...process.env,
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@example.com',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@example.com',
};

function git(at: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd: at, encoding: 'utf8', env });
}

function release(at: string, ...args: string[]): { status: number | null; said: string } {
  const program = ['scripts/release.mjs', ...args];
  const ended = spawnSync(process.execPath, program, { cwd: at, encoding: 'utf8', env });
  return { status: ended.status, said: ended.stdout + ended.stderr };
}

describe('links', () => {
  const at = { page: 'https://x/blob', image: 'https://x/raw' };

  it('to what is not shipped become absolute; shipped files, web pages and programs stay', () => {
    const text = [
      '[a](../../examples/01-hello.ts) ![b](../charts/calls.svg) [c](../calls.md#trust)',
      '[d](https://y/z) [e](#here) [f](time.md#limits-first)',
      '`handlers[name](body)`',
    ].join('\n');
    expect(
      absolute(text, 'docs/guide/retries.md', {
        root,
        at,
        isShipped: (target) => target === 'docs/calls.md',
      }),
    ).toBe(
      [
        '[a](https://x/blob/examples/01-hello.ts) ![b](https://x/raw/docs/charts/calls.svg) [c](../calls.md#trust)',
        '[d](https://y/z) [e](#here) [f](https://x/blob/docs/guide/time.md#limits-first)',
        '`handlers[name](body)`',
      ].join('\n'),
    );
  });

  it('lead to the tag of the version', () => {
    expect(addresses({ repository, version: '0.2.0' })).toEqual({
      page: 'https://example.com/team/redstart/blob/v0.2.0',
      image: 'https://example.com/team/redstart/raw/v0.2.0',
    });
    expect(addresses({ version: '0.2.0' })).toBeUndefined();
    expect(() => addresses({ repository: 'team/redstart', version: '1.0.0' })).toThrow('https URL');
  });

  it('of the packed pages all lead somewhere', () => {
    const staged = folder();
    const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as object;
    const manifest = JSON.stringify({ ...own, repository, version: '0.2.0' });
    stage({ root, dist: 'scripts', folder: staged, replaced: { 'package.json': manifest } });
    const pages = readdirSync(staged, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.md'),
    );
    expect(pages.length).toBeGreaterThan(30);
    const dead = pages.flatMap((page) => {
      const links = readFileSync(join(staged, page), 'utf8').matchAll(/\]\(([^)#\s]+)/g);
      return [...links]
        .map(([, link]) => link as string)
        .filter((link) => existsSync(join(root, dirname(page), link)))
        .filter((link) => page === 'README.md' || !existsSync(join(staged, dirname(page), link)))
        .map((link) => `${page}: ${link}`);
    });
    expect(dead).toEqual([]);
    expect(readFileSync(join(staged, 'README.md'), 'utf8')).toContain(
      '](https://example.com/team/redstart/raw/v0.2.0/docs/charts/calls.svg)',
    );
    expect(existsSync(join(staged, 'docs/images'))).toBe(false);
  });
});

describe('a release', () => {
  it('is the next heading of the changelog', () => {
    expect(released(changelog, '0.2.0', '2026-12-01')).toBe(
      '# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-12-01)\n\n### Added\n\n- a\n\n## 0.1.0\n\n- b\n',
    );
    expect(() => released('# Changelog\n', '0.2.0', '')).toThrow('no heading');
    expect(() => released('## Unreleased\n\n## 0.1.0\n\n- b\n', '0.2.0', '')).toThrow('nothing');
    expect(readFileSync(join(root, 'CHANGELOG.md'), 'utf8')).toContain('\n## Unreleased\n');
  });

  it('has a later version than the last one', () => {
    expect(isLater('0.2.0', '0.1.9')).toBe(true);
    expect(isLater('0.10.0', '0.9.0')).toBe(true);
    expect(isLater('1.0.0', '1.0.0-rc.1')).toBe(true);
    expect(isLater('1.0.0-rc.10', '1.0.0-rc.9')).toBe(true);
    expect(isLater('0.1.0', '0.1.0')).toBe(false);
    expect(isLater('1.0.0-rc.1', '1.0.0')).toBe(false);
    expect(() => isLater('v1', '0.1.0')).toThrow("'v1' is no version");
  });
});

describe.runIf(isLong)('npm run release, in a copy', { timeout: 300_000 }, () => {
  let dist: string;
  beforeAll(async () => (dist = await builtPackage()), 300_000);

  /** A repository with what is published and the scripts. Its build copies what this run has built. */
  function copy(own: object = { repository }): string {
    const made = folder();
    const text = readFileSync(join(root, 'package.json'), 'utf8');
    const manifest = JSON.parse(text) as { files: string[]; scripts: object };
    const files = manifest.files.filter((name) => name !== 'dist' && !name.startsWith('!'));
    const others = ['README.md', 'LICENSE', 'package-lock.json', 'scripts'];
    for (const name of [...files, ...others])
      cpSync(join(root, name), join(made, name), { recursive: true });
    const build = `node --eval "fs.cpSync('${dist}', 'dist', { recursive: true })"`;
    const scripts = { ...manifest.scripts, build };
    const changed = { ...manifest, version: '0.1.0', repository: undefined, scripts, ...own };
    writeFileSync(join(made, 'package.json'), JSON.stringify(changed, null, 2));
    writeFileSync(join(made, 'CHANGELOG.md'), changelog);
    writeFileSync(join(made, '.gitignore'), 'dist\nbuild\nnode_modules\n');
    symlinkSync(join(root, 'node_modules'), join(made, 'node_modules'));
    git(made, 'init', '--quiet', '--initial-branch', 'main');
    git(made, 'add', '.');
    git(made, 'commit', '--quiet', '--message', 'all');
    return made;
  }

  it('tries all without a trace, then commits and tags what it has packed', () => {
    const made = copy();
    const tried = release(made, '0.2.0', '--dry-run', '--no-ci');
    expect(tried).toMatchObject({ status: 0, said: expect.stringContaining('dry run') });
    expect(git(made, 'status', '--porcelain')).toBe('');
    const tarball = join(made, 'build/package/redstart-0.2.0.tgz');
    const inside = (file: string): string =>
      execFileSync('tar', ['-xzOf', tarball, `package/${file}`], { encoding: 'utf8' });
    expect(JSON.parse(inside('package.json'))).toMatchObject({ version: '0.2.0', repository });
    expect(inside('CHANGELOG.md')).toMatch(/^## 0\.2\.0 \(\d{4}-\d\d-\d\d\)$/m);
    expect(inside('README.md')).toContain('](https://example.com/team/redstart/blob/v0.2.0/docs/');

    expect(release(made, '0.2.0', '--no-ci')).toMatchObject({ status: 0 });
    expect(git(made, 'status', '--porcelain')).toBe('');
    expect(git(made, 'tag').trim()).toBe('v0.2.0');
    expect(git(made, 'log', '-1', '--format=%s').trim()).toBe('Release 0.2.0');
    const lock = JSON.parse(readFileSync(join(made, 'package-lock.json'), 'utf8')) as {
      version: string;
      packages: Record<string, { version: string }>;
    };
    expect([lock.version, lock.packages['']?.version]).toEqual(['0.2.0', '0.2.0']);
    // The changelog has nothing new since.
    expect(release(made, '0.3.0', '--no-ci').said).toContain("nothing under '## Unreleased'");
  });

  it('refuses what is not ready, and says what to do', () => {
    const made = copy();
    expect(release(made).said).toContain('give one version');
    expect(release(made, '0.1.0').said).toContain('0.1.0 is not later than 0.1.0');
    writeFileSync(join(made, 'left.txt'), '');
    expect(release(made, '0.2.0').said).toContain('not committed');
    rmSync(join(made, 'left.txt'));
    git(made, 'switch', '--quiet', '--create', 'other');
    expect(release(made, '0.2.0').said).toContain('releases are made of main');
    git(made, 'switch', '--quiet', 'main');
    git(made, 'tag', 'v0.2.0');
    expect(release(made, '0.2.0').said).toContain('there is a tag v0.2.0');
    // .ci/run is not in this copy: its failure ends the release.
    expect(release(made, '0.3.0')).toMatchObject({
      status: 1,
      said: expect.stringContaining('.ci/run failed'),
    });
    expect(release(copy({}), '0.2.0').said).toContain("package.json has no 'repository'");
  });
});
