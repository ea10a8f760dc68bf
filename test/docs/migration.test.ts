// BullMQ's program on docs/guide/migration.md runs, too: with the BullMQ that `npm run bench` installs, where it has.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { isLong } from '../support/long.ts';
import { ownServer } from '../support/redis.ts';
import { repository, workFolder } from './program.ts';

const bench = repository('test/bench/package.json');
const isInstalled = existsSync(repository('test/bench/node_modules/bullmq'));

it.runIf(isLong && isInstalled)('the program of BullMQ handles its job', async () => {
  const { url } = await ownServer();
  const page = readFileSync(repository('docs/guide/migration.md'), 'utf8');
  const [, program = ''] = /^```js\n([^]*?)^```$/m.exec(page) ?? [];
  const bullmq = pathToFileURL(createRequire(bench).resolve('bullmq')).href;
  const folder = workFolder();
  onTestFinished(folder.remove);
  const file = `${folder.path}/bullmq.mjs`;
  writeFileSync(file, program.replace('bullmq', bullmq).replace('6379', new URL(url).port));

  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const printed = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', (text: string) => resolve(text));
    child.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
  });
  expect(printed).toBe('to ada\n');
});
