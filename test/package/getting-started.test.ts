// The text of "Getting started", line by line, in an empty folder. It installs packages, so it is part of
// `npm run full`.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { repository } from '../docs/program.ts';
import { isLong } from '../support/long.ts';
import { ownServer } from '../support/redis.ts';
import { Scratch } from './scratch.ts';

const page = readFileSync(repository('docs/guide/getting-started.md'), 'utf8');

/** The blocks of a language, in order. */
function blocks(language: string): string[] {
  const found = page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'));
  return [...found].map(([, text]) => text as string);
}

describe.runIf(isLong)('the text of "Getting started"', () => {
  it('ends in an answered call, in less than a minute', { timeout: 180_000 }, async () => {
    const scratch = new Scratch();
    onTestFinished(() => scratch.remove());
    await scratch.pack();
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
    const [install, start] = blocks('sh') as [string, string];
    const [program] = blocks('ts') as [string];
    const began = performance.now();
    // What is packed here, since npm does not have it yet, and a Redis of this test.
    shell(install.replace('npm install redstart', `npm install ${scratch.tarball}`));
    const own = program.replace('redis://localhost:6379', url);
    writeFileSync(join(folder, 'hello', 'hello.ts'), own);
    const printed = shell(`cd hello\n${start}`);
    expect(printed).toBe(blocks('text')[0]);
    expect(performance.now() - began).toBeLessThan(60_000);
  });
});
