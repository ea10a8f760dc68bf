// Every ```ts block in README.md and docs/ is a whole program: it compiles, runs, and prints the
// ```text block that follows it, if one does.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLong } from '../support/long.ts';
import { redisUrl, unique } from '../support/redis.ts';
import { compile, repository, run, start, workFolder, type Ended } from './program.ts';

/** How a program says where Redis is: one of these is in each. */
const BROKER = "new RedisBroker('redis://localhost:6379')";
const WITH_OPTIONS = "new RedisBroker('redis://localhost:6379', {";
const OPTION = "connection: 'redis://localhost:6379'";

interface Snippet {
  readonly name: string;
  readonly code: string;
  readonly output: string | undefined;
  /** It runs until it is told to stop. */
  readonly isService: boolean;
}

const documents = [
  'README.md',
  ...readdirSync(repository('docs'), { recursive: true }).map((file) => `docs/${String(file)}`),
].filter((file) => file.endsWith('.md'));
const snippets = documents.flatMap(snippetsIn);
const prefix = `${unique('docs')}:`;
const folder = workFolder();
afterAll(folder.remove);

beforeAll(async () => {
  const sources: Record<string, string> = {};
  for (const { name, code } of snippets) {
    expect([BROKER, WITH_OPTIONS, OPTION].some((text) => code.includes(text))).toBe(true);
    writeFileSync(`${folder.path}/${name}.ts`, code);
    // With the run's URL in the place of the one shown, and names of its own; FastStream's two call each other.
    const names = name.startsWith('docs-faststream') ? prefix : `${prefix}${name}:`;
    const own = `new RedisBroker(process.env.REDIS_URL, { prefix: '${names}' })`;
    sources[name] = `${folder.path}/${name}.run.ts`;
    const ownOption = `connection: process.env.REDIS_URL, prefix: '${names}'`;
    const ownCode = code
      .replaceAll(BROKER, own)
      .replaceAll(WITH_OPTIONS, `new RedisBroker(process.env.REDIS_URL, { prefix: '${names}',`)
      .replaceAll(OPTION, ownOption);
    writeFileSync(sources[name], ownCode);
  }
  await compile(sources, folder.path, 'legacy');
});

it('README says how to run an example and all tests in a clone, and CI runs the same test command', () => {
  const readme = readFileSync(repository('README.md'), 'utf8');
  expect(readme).toContain('npm ci && npm start\nnpm ci && npm run redis && npm test\n');
  const ci = readFileSync(repository('.ci/run'), 'utf8').split('\n');
  expect(ci).toEqual(expect.arrayContaining(['npm run redis', 'npm test']));
});

it('README shows a whole program by line 25, in fewer than 150 lines', () => {
  const lines = readFileSync(repository('README.md'), 'utf8').trimEnd().split('\n');
  expect(lines.length).toBeLessThan(150);
  const opened = lines.indexOf('```ts');
  expect(opened).toBeGreaterThan(0);
  expect(lines.indexOf('```', opened)).toBeLessThan(25);
});

it('README’s first program calls over a list, and it names the defaults that surprised new users', () => {
  const readme = readFileSync(repository('README.md'), 'utf8');
  expect(readme.slice(0, readme.indexOf('## Which address'))).toContain(
    "{ list: 'prices', rpc: true }",
  );
  const from = readme.indexOf('## Defaults that may surprise you');
  const defaults = readme.slice(from, readme.indexOf('\n## ', from + 1));
  expect(defaults.match(/^- \*\*[^*]+\*\*/gm)?.map((text) => text.slice(4, -2))).toEqual(
    expect.arrayContaining([
      'Every replica runs the handler of a channel.',
      'A handler runs one message at a time.',
      'Two handlers of one list take turns.',
      'A plain list loses a message when its process dies.',
      'A failed message comes again.',
      'A stream grows without limit',
    ]),
  );
});

it('only languages whose snippets are checked, and Python, are shown', () => {
  // json and js: configurations of compilers, which `npm run compilers` tries; and BullMQ's program (migration.test.ts).
  const allowed = ['ts', 'text', 'sh', 'python', 'json', 'js', ''];
  for (const file of documents) {
    const text = readFileSync(repository(file), 'utf8');
    const languages = [...text.matchAll(/^```(\w*)$/gm)].map((match) => match[1]);
    expect(languages.filter((language) => !allowed.includes(language as string))).toEqual([]);
  }
  expect(snippets.length).toBeGreaterThanOrEqual(4);
});

it('snippets satisfy the compiler', { timeout: 240_000 }, () => {
  // Shows that the compiler looked.
  writeFileSync(`${folder.path}/wrong.ts`, 'export const text: string = 1;\n');
  writeFileSync(
    `${folder.path}/tsconfig.json`,
    JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'], exclude: ['*.run.ts'] }),
  );
  const tsc = repository('node_modules/typescript/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder.path, '--pretty', 'false'], {
    encoding: 'utf8',
  });
  const mistakes = stdout.split('\n').filter((line) => /error TS/.test(line));
  expect(mistakes).toEqual([expect.stringContaining('wrong.ts')]);
});

describe.each(snippets.filter((snippet) => !snippet.isService && !isAnswered(snippet)))(
  '$name',
  (snippet) => {
    it.each(backendsOf(snippet))(
      'runs and prints what is written below it (%s)',
      async (backend) => {
        const program = programOf(snippet);
        const ended = await run(program, backend === 'redis' ? redisUrl() : 'memory://');
        expect(summary(ended)).toEqual(promised(snippet));
      },
    );
  },
);

describe('docs/faststream.md', () => {
  it('its service answers its caller', async () => {
    const [service, caller] = snippets.filter(({ name }) => name.startsWith('docs-faststream'));
    const serving = start(programOf(service as Snippet), redisUrl());
    const called = await run(programOf(caller as Snippet), redisUrl());
    serving.process.kill('SIGTERM');
    expect(summary(called)).toEqual(promised(caller as Snippet));
    expect(summary(await serving.ended)).toEqual(promised(service as Snippet));
  });
});

function snippetsIn(file: string): Snippet[] {
  const text = readFileSync(repository(file), 'utf8');
  const found = [
    ...text.matchAll(
      /^```ts\n([\s\S]*?)^```\n(?:(?:(?!```)[^\n]*\n){0,3}^```text\n([\s\S]*?)^```$)?/gm,
    ),
  ];
  return found.map(([, code = '', output], i) => ({
    name: `${file.replace('.md', '').replaceAll('/', '-')}-${i + 1}`,
    code,
    output,
    isService: code.includes("process.once('SIGTERM'"),
  }));
}

/** In memory, too: a few in CI, and all of them in `npm run full`. */
function backendsOf({ name, code }: Snippet): ('memory' | 'redis')[] {
  // Commands of its own, or several processes.
  if (/\bbroker\.client\b|\bfork\(/.test(code)) return ['redis'];
  const isFirst = /^(README|docs-guide-(getting-started|time|identity|order))/.test(name);
  return isLong || isFirst ? ['memory', 'redis'] : ['redis'];
}

/** A snippet that needs the service beside it. */
function isAnswered({ name, code }: Snippet): boolean {
  return name.startsWith('docs-faststream') && !code.includes('subscriber');
}

function programOf({ name }: Snippet): string {
  return `${folder.path}/${name}.mjs`;
}

/** How a program ended; what it logged is of interest where it failed. */
function summary({ code, stdout, stderr }: Ended): object {
  return { code, stdout, stderr: code === 0 ? '' : stderr };
}

function promised({ output = '' }: Snippet): object {
  return { code: 0, stdout: output, stderr: '' };
}
