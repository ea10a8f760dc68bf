// `npm run pack`: builds the package and packs it as it is published, into build/package. The tarball differs from
// the repository in its links: those to files that are not in it lead to the repository that package.json names, and
// so do all of README.md, which npm shows on a page of its own.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Kilobytes of a tarball, at most. */
const LIMIT = 1_500;

/** What npm packs, whatever `files` says. */
const ALWAYS = ['package.json', 'README.md', 'LICENSE'];

/** Where a browser finds the files of the repository at a version: for links, and for images; else undefined. */
export function addresses({ repository, version }) {
  const url = (typeof repository === 'string' ? repository : repository?.url)
    ?.replace(/^git\+|\.git$/g, '')
    .replace(/^git@([^:]+):/, 'https://$1/');
  if (url === undefined) return undefined;
  if (!url.startsWith('https://'))
    throw new Error(`package.json: 'repository' must be an https URL, got ${url}`);
  const middle = url.includes('gitlab') ? '/-' : '';
  return { page: `${url}${middle}/blob/v${version}`, image: `${url}${middle}/raw/v${version}` };
}

/**
 * The text of the page `file` with absolute links: each link to a file of the repository for which `isShipped`
 * says no. Other text that looks like a link, as in programs, stays.
 */
export function absolute(text, file, { root, at, isShipped }) {
  return text.replace(
    /(!?)(\[[^\]]*\])\(([^)\s#]+)(#[^)\s]*)?\)/g,
    (all, image, label, path, hash = '') => {
      const target = posix.join(posix.dirname(file), path);
      if (/^[a-z]+:/.test(path) || target.startsWith('..') || !existsSync(join(root, target)))
        return all;
      if (isShipped(target)) return all;
      return `${image}${label}(${image === '!' ? at.image : at.page}/${target}${hash})`;
    },
  );
}

/**
 * Copies what is published from `root` into `folder`, with `dist` from elsewhere; `replaced` are texts by file, in
 * the place of those in `root`.
 */
export function stage({ root = '.', dist = 'dist', folder, replaced = {} }) {
  const read = (file) => replaced[file] ?? readFileSync(join(root, file), 'utf8');
  const manifest = JSON.parse(read('package.json'));
  const listed = manifest.files.filter((name) => name !== 'dist' && !name.startsWith('!'));
  for (const name of [...ALWAYS, ...listed])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  cpSync(resolve(root, dist), join(folder, 'dist'), { recursive: true });
  for (const name of manifest.files.filter((one) => one.startsWith('!')))
    rmSync(join(folder, name.slice(1)), { recursive: true });
  for (const [file, text] of Object.entries(replaced))
    if (existsSync(join(folder, file))) writeFileSync(join(folder, file), text);

  const at = addresses(manifest);
  if (at === undefined) return;
  const isShipped = (target) => existsSync(join(folder, target));
  const pages = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.md'));
  for (const file of pages) {
    const text = readFileSync(join(folder, file), 'utf8');
    const all = { root, at, isShipped: file === 'README.md' ? () => false : isShipped };
    writeFileSync(join(folder, file), absolute(text, file.replaceAll('\\', '/'), all));
  }
}

/** Packs what `stage` copies, into the folder `to`. Returns the path of the tarball, once it is checked. */
export function pack({ root = '.', to, replaced = {} }) {
  const folder = mkdtempSync(join(tmpdir(), 'redstart-pack-'));
  try {
    stage({ root, folder, replaced });
    mkdirSync(to, { recursive: true });
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', resolve(to)];
    const options = { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' };
    const [{ filename, files, size }] = JSON.parse(execFileSync('npm', args, options));
    const wrong = problems({ folder, files: files.map(({ path }) => path), size });
    if (wrong.length > 0) throw new Error(`the tarball is wrong:\n${wrong.join('\n')}`);
    return join(to, filename);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What speaks against publishing the package that is staged in `folder`. */
function problems({ folder, files, size }) {
  const needed = ['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'docs/guide/README.md'];
  const missing = [...ALWAYS, 'CHANGELOG.md', ...needed].filter((file) => !files.includes(file));
  const strange = files.filter((file) => /(^|\/)(node_modules|\.env|\.git|build)(\/|$)/.test(file));
  const relative = [...readFileSync(join(folder, 'README.md'), 'utf8').matchAll(/\]\(([^)\s#]+)/g)]
    .map(([, path]) => path)
    .filter((path) => existsSync(join(folder, path)));
  const { repository } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return [
    ...missing.map((file) => `${file} is not in it`),
    ...strange.map((file) => `${file} is in it`),
    ...(repository === undefined ? [] : relative.map((path) => `README.md links to ${path}`)),
    ...(size > LIMIT * 1_000 ? [`it has ${size} bytes, more than ${LIMIT} kB`] : []),
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const options = { stdio: 'inherit', shell: process.platform === 'win32' };
    execFileSync('npm', ['run', '--silent', 'build'], options);
    const tarball = pack({ to: 'build/package' });
    const kilobytes = Math.round(statSync(tarball).size / 1_000);
    console.log(`${tarball} (${kilobytes} kB)`);
    if (addresses(JSON.parse(readFileSync('package.json', 'utf8'))) === undefined)
      console.log(
        `package.json names no 'repository': the links of README.md are left as they are`,
      );
  } catch (error) {
    console.error(`pack: ${error.message}`);
    process.exitCode = 1;
  }
}
