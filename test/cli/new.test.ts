// A service as `redstart new` writes it: its tests pass, it compiles, runs, answers, and stops.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AsyncApiDocument } from 'redstart/asyncapi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { repository } from '../docs/program.ts';
import { rulesBroken } from '../integrations/asyncapi-rules.ts';
import { eventually } from '../support/eventually.ts';
import { ownServer } from '../support/redis.ts';
import { CommandLine } from './command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'redstart-new-'));
const service = join(folder, 'hello-service');
let cli: CommandLine;

beforeAll(async () => {
  cli = await CommandLine.install();
  cpSync(repository('examples/service'), join(cli.path, 'examples/service'), { recursive: true });
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  cli.remove();
});

/** In the place of `npm install`. */
function installed(): void {
  const modules = join(service, 'node_modules');
  const all = ['ioredis', 'reflect-metadata', 'typescript', 'vitest', 'zod', '@types'];
  mkdirSync(modules);
  for (const name of all) symlinkSync(repository(`node_modules/${name}`), join(modules, name));
  symlinkSync(cli.path, join(modules, 'redstart'));
}

/** What a service's package.json says to install as redstart. */
function redstartOf(name: string): string | undefined {
  const manifest = readFileSync(join(folder, name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { dependencies: Record<string, string> }).dependencies[
    'redstart'
  ];
}

/** Runs one of the service's tools; returns what it printed. Throws where it fails. */
function tool(path: string, ...args: string[]): string {
  const { PATH, HOME } = process.env;
  const ended = spawnSync(process.execPath, [join('node_modules', path), ...args], {
    cwd: service,
    encoding: 'utf8',
    env: { PATH, HOME, NO_COLOR: '1' },
  });
  const printed = ended.stdout + ended.stderr;
  if (ended.status !== 0) throw new Error(printed);
  return printed;
}

it('writes a service, named as its folder', async () => {
  const { code, stderr } = await cli.run(['new', 'hello-service'], { cwd: folder });
  expect(stderr).toContain('Next: cd hello-service && npm install');
  expect(code).toBe(0);
  expect(readdirSync(service).sort()).toEqual([
    ...['.dockerignore', '.gitignore', 'Dockerfile', 'README.md', 'asyncapi.json', 'compose.yaml'],
    ...['package.json', 'src', 'test', 'tsconfig.json', 'tsconfig.test.json'],
  ]);
  const manifest = JSON.parse(readFileSync(join(service, 'package.json'), 'utf8')) as {
    name: string;
    dependencies: Record<string, string>;
    scripts: Record<string, string>;
  };
  const own = JSON.parse(readFileSync(repository('package.json'), 'utf8')) as { version: string };
  expect(manifest.name).toBe('hello-service');
  expect(manifest.dependencies['redstart']).toBe(`^${own.version}`);
  expect(readFileSync(join(service, 'README.md'), 'utf8')).toMatch(/^# hello-service\n/);
});

it('the tests of it pass, and all of it compiles', { timeout: 240_000 }, () => {
  installed();
  expect(tool('vitest/vitest.mjs', 'run')).toMatch(/Tests {2}2 passed/);
  expect(tool('typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.test.json')).toBe('');
  expect(tool('typescript/bin/tsc')).toBe('');
});

it('its AsyncAPI document keeps the rules; --check holds it, and tells what differs', async () => {
  const file = join(service, 'asyncapi.json');
  const written = readFileSync(file, 'utf8');
  const document = JSON.parse(written) as AsyncApiDocument;
  expect(document.info.title).toBe('hello-service');
  expect(rulesBroken(document)).toEqual([]);
  const check = ['asyncapi', 'dist/app.js', '--check', 'asyncapi.json'];
  expect(await cli.run(check, { cwd: service })).toMatchObject({ code: 0, stdout: '' });
  writeFileSync(file, written.replaceAll('NOT_WELCOME', 'UNWANTED'));
  const differs = await cli.run(check, { cwd: service });
  expect(differs.code).toBe(1);
  expect(differs.stderr).toContain('Greetings.greet.error.NOT_WELCOME: new');
  writeFileSync(file, written);
});

it('runs, answers, is healthy, shows its metrics, and stops at SIGTERM', async () => {
  const { url } = await ownServer();
  const port = await freePort();
  const env = { PORT: String(port) };
  const running = cli.start(['run', 'dist/app.js'], { cwd: service, url, env });
  await running.hears('runs, process');
  const called = await cli.run(['request', 'greetings', '{"name":"Ada"}', '--list'], { url });
  expect(called.stdout).toContain('"text":"Hello, Ada"');
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  };
  expect(await get('/live')).toEqual([200, expect.stringContaining('"problems":[]')]);
  expect((await get('/ready'))[0]).toBe(200);
  await eventually(async () =>
    expect((await get('/metrics'))[1]).toMatch(/redstart_\w+\{[^}]*address="greeted"/),
  );
  expect((await get('/other'))[0]).toBe(404);
  running.process.kill('SIGTERM');
  expect((await running.ended).code).toBe(0);
});

describe('redstart that was installed from a .tgz file', () => {
  it('gives the service a copy of the file that is named', async () => {
    const name = 'redstart-0.1.0.tgz';
    writeFileSync(join(folder, name), 'packed');
    const args = ['new', 'named', '--tarball', name];
    expect((await cli.run(args, { cwd: folder })).code).toBe(0);
    expect(redstartOf('named')).toBe(`file:${name}`);
    expect(readFileSync(join(folder, 'named', name), 'utf8')).toBe('packed');
    const wrong = await cli.run(['new', 'other', '--tarball', 'x.tgz'], { cwd: folder });
    expect(wrong).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("there is no .tgz file 'x.tgz'"),
    });
  });

  it('finds the file by itself, as npm notes it', () => {
    const project = join(folder, 'project');
    mkdirSync(join(project, 'node_modules'), { recursive: true });
    cpSync(cli.path, join(project, 'node_modules/redstart'), { recursive: true });
    writeFileSync(join(folder, 'mine-0.1.0.tgz'), 'packed');
    const entry = { resolved: 'file:../mine-0.1.0.tgz' };
    writeFileSync(
      join(project, 'node_modules/.package-lock.json'),
      JSON.stringify({ packages: { 'node_modules/redstart': entry } }),
    );
    const main = join(project, 'node_modules/redstart/dist/cli/main.js');
    const { status, stderr } = spawnSync(process.execPath, [main, 'new', 'noted'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(redstartOf('noted')).toBe('file:mine-0.1.0.tgz');
    expect(existsSync(join(folder, 'noted/mine-0.1.0.tgz'))).toBe(true);
  });
});

it('a folder that is not empty, and a name that npm refuses, are refused', async () => {
  const again = await cli.run(['new', 'hello-service'], { cwd: folder });
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('is not empty') });
  const wrong = await cli.run(['new', 'Hello Service'], { cwd: folder });
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('small letters') });
  expect(readdirSync(folder)).not.toContain('Hello Service');
});
