import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differences } from '../../src/cli/differences.ts';
import { CommandLine, inProcess } from './command-line.ts';

const app = (list: string): string => `import { RedisBroker, createApp } from '../../dist/index.js';
  const broker = new RedisBroker('redis://nowhere.invalid:1');
  broker.subscriber({ list: '${list}', title: 'Orders' }, () => 1);
  const other = new RedisBroker('redis://nowhere.invalid:2');
  other.subscriber('prices', () => 1);
  export default createApp([broker, other]);`;

let cli: CommandLine;
beforeAll(async () => {
  cli = await CommandLine.install();
  cli.write(
    'shop/package.json',
    '{"name":"shop","version":"2.1.0","description":"Sells.","type":"module"}',
  );
  cli.write('shop/dist/app.js', app('orders'));
  cli.write('shop/dist/next.js', app('purchases'));
});
afterAll(() => cli.remove());

describe('redstart asyncapi', () => {
  it('prints or writes the document of an app, which it does not start; --check compares', async () => {
    const printed = await cli.run(['asyncapi', 'shop/dist/app.js']);
    expect({ code: printed.code, stderr: printed.stderr }).toEqual({ code: 0, stderr: '' });
    const document = JSON.parse(printed.stdout) as { channels: object; info: object };
    expect(document.info).toEqual({ title: 'shop', version: '2.1.0', description: 'Sells.' });
    expect(Object.keys(document.channels)).toEqual(['orders.list', 'prices.channel', 'replies']);

    const file = join(cli.path, 'asyncapi.json');
    const [written, isSame] = [
      await cli.run(['asyncapi', 'shop/dist/app.js', '-o', file]),
      await cli.run(['asyncapi', 'shop/dist/app.js', '--check', file]),
    ];
    expect({ code: written.code, stdout: written.stdout }).toEqual({ code: 0, stdout: '' });
    expect(readFileSync(file, 'utf8')).toBe(printed.stdout);
    expect({ code: isSame.code, stdout: isSame.stdout }).toEqual({ code: 0, stdout: '' });
    // The order and the blanks of the file mean nothing: formatters change them.
    writeFileSync(file, JSON.stringify(Object.fromEntries(Object.entries(document).toReversed())));
    expect((await cli.run(['asyncapi', 'shop/dist/app.js', '--check', file])).code).toBe(0);

    const differs = await cli.run(['asyncapi', 'shop/dist/next.js', '--check', file]);
    expect({ code: differs.code, stdout: differs.stdout }).toEqual({ code: 1, stdout: '' });
    expect(differs.stderr).toContain('is not the document of shop/dist/next.js any more');
    expect(differs.stderr).toContain('redstart:   channels/orders.list: gone');
    expect(differs.stderr).toContain('redstart:   channels/purchases.list: new');
    expect(differs.stderr).toContain(`redstart asyncapi shop/dist/next.js -o ${file}`);
  });

  it('what a terminal would obey is printed as an escape, which means the same', async () => {
    cli.write('shop/dist/loud.js', app('orders').replace('Orders', 'a\\u009b2J\\u202eb'));
    const { stdout } = await cli.run(['asyncapi', 'shop/dist/loud.js']);
    expect(stdout).not.toMatch(/[\u007f-\u009f\u202e]/);
    expect(stdout).toContain('a\\u009b2J\\u202eb');
    const { operations } = JSON.parse(stdout) as { operations: Record<string, { title?: string }> };
    const titles = Object.values(operations).map(({ title }) => title);
    expect(titles).toContain('a\u009b2J\u202eb');
  });

  it.each<[args: string[], told: string]>([
    [['nowhere.js'], 'asyncapi: there is no file'],
    [['package.json', '-o', 'a', '--check', 'b'], 'give --output or --check, not both'],
    [['package.json', '--check', 'nowhere.json'], 'asyncapi: there is no file'],
    [['package.json', '--check', 'README.md'], 'asyncapi: README.md is not JSON'],
  ])('%j is a mistake', async (args, told) => {
    const { code, stdout, stderr } = await inProcess(['asyncapi', ...args]);
    expect(stderr).toContain(told);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

it('differences name each place, and say little of each value', () => {
  const before = { a: 1, b: [1, { c: 2 }], gone: true, text: 'x' };
  const now = { text: 'y'.repeat(100), b: [1, { c: 3 }, 4], a: 1, fresh: null };
  expect(differences(before, before)).toEqual([]);
  expect(differences(before, now)).toEqual([
    'b/1/c: 2 is now 3',
    'b/2: new',
    'gone: gone',
    `text: "x" is now "${'y'.repeat(58)}…`,
    'fresh: new',
  ]);
  expect(differences(1, null)).toEqual(['the document: 1 is now null']);
});
