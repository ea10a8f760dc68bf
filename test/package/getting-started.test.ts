// The texts of README and of "Getting started", line by line, in an empty folder. They install packages, so this
// is part of `npm run full`.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { repository } from '../docs/program.ts';
import { isLong } from '../support/long.ts';
import { ownServer } from '../support/redis.ts';
import { Scratch } from './scratch.ts';

/** The blocks of a language, in order. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(repository(page), 'utf8');
  const found = text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'));
  return [...found].map(([, text]) => text as string);
}

describe.runIf(isLong)('a first program, pasted into an empty folder', { timeout: 180_000 }, () => {
  const scratch = new Scratch();
  beforeAll(() => scratch.pack(), 180_000);
  afterAll(() => scratch.remove());

  it.each([
    { page: 'README.md', inside: '.' },
    { page: 'docs/guide/getting-started.md', inside: 'hello' },
  ])('ends in an answered call in less than a minute ($page)', async ({ page, inside }) => {
    const { url } = await ownServer();
    const folder = mkdtempSync(join(tmpdir(), 'redstart-started-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const { PATH, HOME } = process.env;
    const shell = (text: string): string =>
      execFileSync('sh', ['-ec', text], {
        cwd: folder,
        encoding: 'utf8',
        env: { PATH, HOME, NO_COLOR: '1' },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    const commands = blocks(page, 'sh').join('').trimEnd().split('\n');
    const start = commands.indexOf('npx tsx hello.ts');
    const [program] = blocks(page, 'ts') as [string];
    const began = performance.now();
    // What is packed here, since npm does not have it yet, and a Redis of this test.
    const install = commands.slice(0, start).join('\n');
    shell(install.replace('npm install redstart', `npm install ${scratch.tarball}`));
    const own = program.replace('redis://localhost:6379', url);
    writeFileSync(join(folder, inside, 'hello.ts'), own);
    const printed = shell(`cd ${inside}\n${commands[start]}`);
    expect(printed).toBe(blocks(page, 'text')[0]);
    expect(performance.now() - began).toBeLessThan(60_000);
  });
});
