import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { logLine } from './output.ts';

/** The example that is copied, in the package beside `dist` and `src`. */
const TEMPLATE = new URL('../../examples/service', import.meta.url);

/** npm leaves files of these names out of a package, or obeys them. */
const HIDDEN = ['gitignore', 'dockerignore'];

/** What npm takes as the name of a package, without a scope. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,213}$/;

export const create = command({
  name: 'new',
  operands: ['<folder>'],
  summary: 'write a new service into a folder',
  text: `Writes a service into a new folder: contracts, handlers, a test, health and metrics over HTTP, a
Dockerfile and a compose file. The folder's name is the name of the package. If the folder is not
empty, nothing is written.

  redstart new my-service`,
  options: {},
  async run([folder = '']) {
    const path = resolve(folder);
    const name = basename(path);
    if (!NAME.test(name))
      throw new UsageError(
        `new: '${name}' cannot be the name of a package: use small letters, digits, '-', '_' and '.'`,
      );
    if (existsSync(path) && readdirSync(path).length > 0)
      throw new UsageError(`new: the folder ${path} is not empty`);
    mkdirSync(path, { recursive: true });
    cpSync(fileURLToPath(TEMPLATE), path, { recursive: true });
    for (const file of HIDDEN) renameSync(join(path, file), join(path, `.${file}`));
    for (const file of ['package.json', 'README.md']) {
      const text = readFileSync(join(path, file), 'utf8');
      const own = text.replaceAll('my-service', name).replace('"redstart": "*"', dependency());
      writeFileSync(join(path, file), own);
    }
    logLine(`${path} has a service. Next: cd ${folder} && npm install && npm test && npm run dev`);
    return EXIT.ok;
  },
});

/** This release or a later one that is compatible. */
function dependency(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return `"redstart": "^${(JSON.parse(manifest) as { version: string }).version}"`;
}
