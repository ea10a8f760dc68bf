// npx and npm put a shell between them and the command, and pass signals on to neither.
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { join } from 'node:path';
import { CommandLine } from './command-line.ts';

let cli: CommandLine;
beforeAll(async () => {
  cli = await CommandLine.install();
  cli.write(
    'app.mjs',
    `import { RedisBroker, createApp } from 'redstart';
    const broker = new RedisBroker('memory://launched');
    export default createApp(broker, { onShutdown: () => console.log('onShutdown') });`,
  );
});
afterAll(() => cli.remove());

it('run says so where npx has started it, and stops its app when npx is gone', async () => {
  const main = join(cli.path, 'dist/cli/main.js');
  // What npx does: a shell that waits for the command. The second command keeps it from being replaced by the first.
  const shell = spawn('sh', ['-c', `'${process.execPath}' '${main}' run app.mjs; exit 0`], {
    cwd: cli.path,
    env: { ...process.env, npm_command: 'exec' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  onTestFinished(() => {
    try {
      process.kill(-(shell.pid as number), 'SIGKILL');
    } catch {
      // It has ended, as it should.
    }
  });
  let said = '';
  for (const stream of [shell.stdout, shell.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  await expect.poll(() => said).toContain('app.mjs runs, process');
  expect(said).toContain('npx does not pass SIGTERM on to this process');
  expect(said).toContain('start node_modules/.bin/redstart without it');
  shell.kill('SIGTERM');
  await expect.poll(() => said).toMatch(/npx has ended: stopping\nonShutdown/);
});

it('run says nothing where it was started without npm', async () => {
  const app = cli.start(['run', 'app.mjs']);
  await app.hears('runs, process');
  app.process.kill('SIGTERM');
  const { code, stdout, stderr } = await app.ended;
  expect([code, stdout]).toEqual([0, 'onShutdown\n']);
  expect(stderr).not.toContain('npm');
});
