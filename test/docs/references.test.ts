import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repository } from './program.ts';

const documents = [
  'README.md',
  'examples/README.md',
  ...readdirSync(repository('docs'), { recursive: true }).map((file) => `docs/${String(file)}`),
].filter((file) => file.endsWith('.md'));

/** FastStream's acceptance list, row by row. */
const ROWS = [...range(1, 114), ...range(1, 32).map((row) => `N${row}`)];

describe.each(documents)('%s', (document) => {
  const text = readFileSync(repository(document), 'utf8');

  it('links to files that exist', () => {
    const links = [...text.matchAll(/\]\(([^)#]+)/g)].map((match) => match[1] as string);
    const local = links.filter((link) => !link.startsWith('http'));
    const broken = local.filter((link) => !existsSync(repository(join(dirname(document), link))));
    expect(broken).toEqual([]);
  });

  it('names files of src, test and examples that exist', () => {
    const named = [...text.matchAll(/\b(?:src|test|examples)\/[\w./-]+\.ts\b/g)].map(
      ([file]) => file,
    );
    expect(named.filter((file) => !existsSync(repository(file)))).toEqual([]);
  });
});

it('docs/message-path.md names a file of src in the picture and a paragraph for every step', () => {
  const text = readFileSync(repository('docs/message-path.md'), 'utf8');
  const steps = [...text.matchAll(/^ ?(\d+)  \S.*? {2,}(\S+\.ts)/gm)];
  const paragraphs = [...text.matchAll(/^\*\*(\d+)\. /gm)].map((match) => Number(match[1]));
  expect(steps.map((match) => Number(match[1]))).toEqual(range(1, steps.length).map(Number));
  expect(
    steps.map(([, , file]) => file).filter((file) => !existsSync(repository(`src/${file}`))),
  ).toEqual([]);
  expect(paragraphs).toEqual(range(1, paragraphs.length).map(Number));
  expect(paragraphs.length).toBeGreaterThanOrEqual(steps.length);
});

it('docs/faststream.md says for every row of the acceptance list where it is tested, or why not', () => {
  const text = readFileSync(repository('docs/faststream.md'), 'utf8');
  const table = text.slice(text.indexOf('## Acceptance list'));
  const lines = table.split('\n').filter((line) => /^\| *N?\d/.test(line));
  const told = lines.flatMap((line) => rowsIn((line.split('|')[1] as string).trim()));
  expect(told.toSorted()).toEqual(ROWS.toSorted());
  const empty = lines.filter((line) => !/(test\/[\w./-]+\.test\.ts|— \S)/.test(line));
  expect(empty).toEqual([]);
});

/** `1, 3–4, N22` → 1, 3, 4, N22 */
function rowsIn(cell: string): string[] {
  return cell.split(/, */).flatMap((part) => {
    const [, mark = '', from, to = from] = /^(N?)(\d+)(?:–N?(\d+))?$/.exec(part) ?? [];
    if (from === undefined) throw new Error(`'${part}' is no row`);
    return range(Number(from), Number(to)).map((row) => mark + row);
  });
}

function range(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}
