// `npm run site`: the documentation as a web site, in build/site. Its sources are a copy of docs/ and what
// TypeDoc makes of the types, both in site/src. `npm ci` in site/ comes first where it has not been run.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const SITE = 'site';

function run(program, args) {
  const { status, error } = spawnSync(program, args, { cwd: SITE, stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`);
}

try {
  if (!existsSync(join(SITE, 'node_modules'))) run('npm', ['ci', '--no-audit', '--no-fund']);
  rmSync(join(SITE, 'src'), { recursive: true, force: true });
  cpSync('docs', join(SITE, 'src'), { recursive: true });
  cpSync(join(SITE, 'home.md'), join(SITE, 'src', 'index.md'));
  run(process.execPath, [join('node_modules', 'typedoc', 'bin', 'typedoc')]);
  run(process.execPath, [join('node_modules', 'vitepress', 'bin', 'vitepress.js'), 'build']);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
