import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { logLine } from './output.ts';

const PACKAGE = new URL('../../', import.meta.url);

/** The example that is copied, in the package beside `dist` and `src`. */
const TEMPLATE = new URL('examples/service', PACKAGE);

/** npm leaves files of these names out of a package, or obeys them. */
const HIDDEN = ['gitignore', 'dockerignore'];

/** What npm takes as the name of a package, without a scope. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,213}$/;

export const create = command({
  name: 'new',
  operands: ['<folder>'],
  summary: 'write a new service into a folder',
  text: `Writes a service into a new folder: contracts, handlers, a test, its AsyncAPI document, health and
metrics over HTTP, a Dockerfile and a compose file. The folder's name is the name of the package. If
the folder is not empty, nothing is written. If this redstart was installed by npm from a .tgz file,
or with --tarball, the service gets a copy of the file and installs redstart from it.

  redstart new my-service
  redstart new my-service --tarball redstart-0.1.0.tgz`,
  options: {
    tarball: { type: 'string', value: 'file', text: 'the .tgz file of redstart to install' },
  },
  async run([folder = ''], { tarball = installedFrom() }) {
    const path = resolve(folder);
    const name = basename(path);
    if (!NAME.test(name))
      throw new UsageError(
        `new: '${name}' cannot be the name of a package: use small letters, digits, '-', '_' and '.'`,
      );
    if (existsSync(path) && readdirSync(path).length > 0)
      throw new UsageError(`new: the folder ${path} is not empty`);
    if (tarball !== undefined && !(tarball.endsWith('.tgz') && existsSync(tarball)))
      throw new UsageError(`new: --tarball: there is no .tgz file '${tarball}'`);
    mkdirSync(path, { recursive: true });
    cpSync(fileURLToPath(TEMPLATE), path, { recursive: true });
    for (const file of HIDDEN) renameSync(join(path, file), join(path, `.${file}`));
    if (tarball !== undefined) copyFileSync(tarball, join(path, basename(tarball)));
    const version = tarball === undefined ? release() : `file:${basename(tarball)}`;
    for (const file of ['package.json', 'README.md', 'asyncapi.json']) {
      const text = readFileSync(join(path, file), 'utf8');
      const own = text
        .replaceAll('my-service', name)
        .replace('"redstart": "*"', `"redstart": "${version}"`);
      writeFileSync(join(path, file), own);
    }
    logLine(`${path} has a service. Next: cd ${folder} && npm install && npm test && npm run dev`);
    return EXIT.ok;
  },
});

/** This release or a later one that is compatible. */
function release(): string {
  const manifest = readFileSync(new URL('package.json', PACKAGE), 'utf8');
  return `^${(JSON.parse(manifest) as { version: string }).version}`;
}

/** The file that npm has installed this redstart from, as npm notes it; undefined for a release from a registry and for other tools. */
function installedFrom(): string | undefined {
  const path = fileURLToPath(PACKAGE);
  const modules = dirname(path);
  const notes = join(modules, '.package-lock.json');
  if (basename(modules) !== 'node_modules' || !existsSync(notes)) return undefined;
  const { packages } = JSON.parse(readFileSync(notes, 'utf8')) as {
    packages?: Readonly<Record<string, { readonly resolved?: string }>>;
  };
  const resolved = packages?.[`node_modules/${basename(path)}`]?.resolved ?? '';
  const file = resolve(dirname(modules), resolved.replace(/^file:/, ''));
  return /^file:.*\.tgz$/.test(resolved) && existsSync(file) ? file : undefined;
}
