// `npm run release -- 0.2.0`: makes a release of the commit that is checked out. It changes nothing before all
// checks have passed; then it writes the version and the changelog, commits them and sets the tag. It publishes
// nothing: .github/workflows/release.yml does that when the tag is pushed, since npm's provenance needs a run on CI.
//   --dry-run   writes no file, commits nothing; the tarball is in build/package to be looked at
//   --no-ci     does not run .ci/run, for a commit for which it has passed
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { addresses, pack } from './pack.mjs';

const HEADING = '## Unreleased';

/** The changelog in which what was unreleased is the version of that day. */
export function released(changelog, version, day) {
  const [before, after] = changelog.split(`${HEADING}\n`);
  if (after === undefined) throw new Error(`CHANGELOG.md has no heading '${HEADING}'`);
  const [entries] = after.split(/^## /m);
  if (!/^- /m.test(entries)) throw new Error(`CHANGELOG.md has nothing under '${HEADING}'`);
  return `${before}${HEADING}\n\n## ${version} (${day})\n${after}`;
}

/** Whether a version comes after another: `0.2.0`, `1.0.0-rc.1`. */
export function isLater(version, other) {
  const [[ours, isPre], [theirs, wasPre]] = [version, other].map((text) => {
    const [, numbers, pre] = /^(\d+\.\d+\.\d+)(-[\w.]+)?$/.exec(text) ?? [];
    if (numbers === undefined) throw new Error(`'${text}' is no version such as 0.2.0`);
    return [numbers.split('.').map(Number), pre !== undefined];
  });
  const at = ours.findIndex((number, i) => number !== theirs[i]);
  if (at >= 0) return ours[at] > theirs[at];
  return wasPre && (!isPre || version.localeCompare(other, 'en', { numeric: true }) > 0);
}

function git(...args) {
  return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

const read = (file) => readFileSync(file, 'utf8');

function release(version, { dryRun, ci }) {
  const manifest = JSON.parse(read('package.json'));
  if (!isLater(version, manifest.version))
    throw new Error(
      `${version} is not later than ${manifest.version}, the version of package.json`,
    );
  if (addresses(manifest) === undefined)
    throw new Error(`package.json has no 'repository': npm's provenance and all links need it`);
  if (git('status', '--porcelain') !== '')
    throw new Error('there are files that are not committed: commit or remove them');
  const branch = git('rev-parse', '--abbrev-ref', 'HEAD');
  if (branch !== 'main') throw new Error(`this is the branch ${branch}: releases are made of main`);
  if (git('tag', '--list', `v${version}`) !== '') throw new Error(`there is a tag v${version}`);

  const lock = JSON.parse(read('package-lock.json'));
  lock.version = version;
  lock.packages[''].version = version;
  const replaced = {
    'package.json': read('package.json').replace(
      `"version": "${manifest.version}"`,
      `"version": "${version}"`,
    ),
    'package-lock.json': `${JSON.stringify(lock, null, 2)}\n`,
    'CHANGELOG.md': released(read('CHANGELOG.md'), version, new Date().toISOString().slice(0, 10)),
  };

  if (ci) run('.ci/run');
  run('npm', 'run', '--silent', 'build');
  const tarball = pack({ to: 'build/package', replaced });
  console.log(`packed: ${tarball}`);
  // The checks may have changed files: the release would not be what was checked.
  if (git('status', '--porcelain') !== '') throw new Error('the checks have changed files');
  if (dryRun) {
    console.log(`dry run: ${Object.keys(replaced).join(', ')} are as they were`);
    return;
  }
  for (const [file, text] of Object.entries(replaced)) writeFileSync(file, text);
  git('commit', '--quiet', '--all', '--message', `Release ${version}`);
  git('tag', '--annotate', `v${version}`, '--message', `redstart ${version}`);
  console.log(`committed and tagged. To publish: git push origin main v${version}`);
}

function run(program, ...args) {
  const { status } = spawnSync(program, args, {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')} failed`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const options = { 'dry-run': { type: 'boolean' }, 'no-ci': { type: 'boolean' } };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const [version, ...more] = positionals;
    if (version === undefined || more.length > 0)
      throw new Error('give one version: npm run release -- 0.2.0 [--dry-run] [--no-ci]');
    release(version, { dryRun: values['dry-run'] === true, ci: values['no-ci'] !== true });
  } catch (error) {
    console.error(`release: ${error.message}`);
    process.exitCode = 1;
  }
}
