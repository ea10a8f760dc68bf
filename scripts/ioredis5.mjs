// Loaded by `node --import`: whoever imports or requires ioredis in this process gets the release that
// REDSTART_IOREDIS names, such as `ioredis5`. Child processes inherit NODE_OPTIONS, so they do, too.
import { Module, register } from 'node:module';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const modules = join(dirname(fileURLToPath(import.meta.url)), '..', 'node_modules');
const [from, to] = ['ioredis', process.env.REDSTART_IOREDIS ?? 'ioredis5'].map(
  (name) => resolve(modules, name) + sep,
);

/* oxlint-disable no-underscore-dangle -- Node's name */
const find = Module._resolveFilename;
Module._resolveFilename = (...args) => {
  const file = find(...args);
  return file.startsWith(from) ? file.replace(from, to) : file;
};
/* oxlint-enable no-underscore-dangle */

const [fromUrl, toUrl] = [from, to].map((folder) => pathToFileURL(folder).href);
const hooks = `export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  return { ...found, url: found.url.replace(${JSON.stringify(fromUrl)}, ${JSON.stringify(toUrl)}) };
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
