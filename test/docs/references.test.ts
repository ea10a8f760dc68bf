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

/** The numbered steps of each picture in docs/message-path.md: the files, in order. */
function picturesOf(text: string): string[][] {
  const pictures = [...text.matchAll(/^```\n([^]*?)^```/gm)].map((match) => match[1] as string);
  return pictures.map((picture) => {
    const steps = [...picture.matchAll(/^ ?(\d+)  \S.*? {2,}(\S+\.ts)/gm)];
    expect(steps.map((match) => Number(match[1]))).toEqual(range(1, steps.length).map(Number));
    return steps.map((match) => match[2] as string);
  });
}

function importsOf(file: string): string[] {
  const text = readFileSync(repository(`src/${file}`), 'utf8');
  return [...text.matchAll(/from '(\.[^']+)'/g)].map(([, specifier = '']) =>
    join(dirname(file), specifier),
  );
}

describe('docs/message-path.md', () => {
  const text = readFileSync(repository('docs/message-path.md'), 'utf8');
  const pictures = picturesOf(text);
  it('tells the way out and the way in, in at most twelve files each', () => {
    expect(pictures).toHaveLength(2);
    for (const files of pictures) {
      expect(files.length).toBeGreaterThan(5);
      expect(files.length).toBeLessThanOrEqual(12);
      expect(new Set(files).size).toBe(files.length);
      expect(files.filter((file) => !existsSync(repository(`src/${file}`)))).toEqual([]);
    }
  });

  it('names files that use each other: every step is reached from another by an import', () => {
    for (const files of pictures) {
      const linked = files.filter((file) =>
        files.some(
          (other) =>
            other !== file &&
            (importsOf(other).includes(file) ||
              importsOf(file).includes(other) ||
              // One file in between that wires the two, as the runner and the session do.
              importsOf(other).some((between) => importsOf(file).includes(between))),
        ),
      );
      expect(linked).toEqual(files);
    }
  });

  it('names only files of src that exist', () => {
    const named = [...text.matchAll(/`((?:src\/)?(?:[\w-]+\/)+[\w.-]+\.ts)`/g)].map((match) =>
      (match[1] as string).replace(/^src\//, ''),
    );
    expect(named.length).toBeGreaterThan(20);
    const missing = named.filter(
      (file) => !existsSync(repository(`src/${file}`)) && !existsSync(repository(file)),
    );
    expect(missing).toEqual([]);
  });

  it('gives every entry of src its floor', () => {
    const rows = [...text.matchAll(/^\| (\d+) +\| (.*?) +\|/gm)];
    const entries = rows.flatMap((row) => [...(row[2] as string).matchAll(/`([\w.]+)\/?`/g)]);
    const listed = entries.map((match) => match[1] as string).toSorted();
    expect(listed).toEqual(readdirSync(repository('src')).toSorted());
  });
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
