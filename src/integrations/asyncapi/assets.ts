import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

export interface Asset {
  readonly type: string;
  readonly bytes: Buffer;
  /** Undefined for what is small. */
  readonly gzipped: Buffer | undefined;
}

const FILES: Readonly<Record<string, readonly [path: string, type: string]>> = {
  ui: ['browser/standalone/index.js', 'text/javascript; charset=utf-8'],
  style: ['styles/default.min.css', 'text/css; charset=utf-8'],
};

/** The files of `@asyncapi/react-component` where the project has it: read when they are first asked for. */
export class Assets {
  readonly #folder: string | undefined = folderOfComponent();
  readonly #read = new Map<string, Asset>();

  /** The component's version; undefined where it is not installed. */
  get version(): string | undefined {
    if (this.#folder === undefined) return undefined;
    const manifest = readFileSync(join(this.#folder, 'package.json'), 'utf8');
    return (JSON.parse(manifest) as { version: string }).version;
  }

  get(name: string): Asset | undefined {
    const file = Object.hasOwn(FILES, name) ? FILES[name] : undefined;
    if (this.#folder === undefined || file === undefined) return undefined;
    let asset = this.#read.get(name);
    if (asset === undefined) {
      const bytes = readFileSync(join(this.#folder, file[0]));
      asset = { type: file[1], bytes, gzipped: gzipSync(bytes) };
      this.#read.set(name, asset);
    }
    return asset;
  }
}

/** Looked for from the project that runs, and from where this package is. */
function folderOfComponent(): string | undefined {
  for (const from of [join(process.cwd(), 'package.json'), import.meta.url]) {
    try {
      return dirname(createRequire(from).resolve('@asyncapi/react-component/package.json'));
    } catch {
      continue; // not installed there
    }
  }
  return undefined;
}
