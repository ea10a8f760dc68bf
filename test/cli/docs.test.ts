// The commands in docs/guide/command-line.md print what is written below them, with the app shown there.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compile, repository } from '../docs/program.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { CommandLine } from './command-line.ts';

let cli: CommandLine;
beforeAll(async () => void (cli = await CommandLine.install()));
afterAll(() => cli.remove());

it(
  'the commands of docs/guide/command-line.md print what they promise',
  { timeout: 120_000 },
  async () => {
    const prefix = `${unique('docs')}.`;
    const own = (text: string): string =>
      text.replaceAll('redis://localhost:6379', redisUrl()).replaceAll('shop.', `${prefix}shop.`);
    const text = readFileSync(repository('docs/guide/command-line.md'), 'utf8');
    const [, program = ''] = /^```ts\n([\s\S]*?)^```$/m.exec(text) ?? [];
    writeFileSync(join(cli.path, 'app.ts'), own(program));
    await compile({ app: join(cli.path, 'app.ts') }, cli.path, 'legacy');
    const app = cli.start(['run', 'app.mjs']);
    await app.hears('runs, process');

    const blocks = [
      ...text.matchAll(/^```sh\n([\s\S]*?)^```\n\n(?:[^`][^\n]*\n\n)*```text\n([\s\S]*?)^```$/gm),
    ];
    expect(blocks.length).toBeGreaterThanOrEqual(4);
    for (const [, commands = '', promised = ''] of blocks) {
      let printed = '';
      for (const line of commands.trimEnd().split('\n')) {
        const ended = await cli.run(words(own(line)).slice(2)); // npx redstart
        printed += ended.stdout + ended.stderr;
        // The next command looks at what this one has led to.
        if (line.includes('quantity')) {
          const client = rawClient();
          await eventually(async () => (await client.xlen(`${prefix}shop.dead`)) === 1);
        }
      }
      expect(alike(printed)).toBe(alike(own(promised)));
    }
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
  },
);

/** As a shell reads them: single quotes are all that is used. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

/** Without what differs from run to run. */
function alike(output: string): string {
  return output
    .replaceAll(/\d{13}-\d+/g, 'ID')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/"correlationId":"[^"]+"/g, '"correlationId":"ID"')
    .replaceAll(/"ms":[\d.]+/g, '"ms":0');
}
