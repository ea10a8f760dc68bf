import { readFileSync } from 'node:fs';
import * as redstart from 'redstart';
import { expect, it } from 'vitest';
import { repository } from './program.ts';

const page = readFileSync(repository('docs/guide/errors.md'), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('| ') && line.includes('`'));

it('docs/guide/errors.md has every class of errors', () => {
  const classes = Object.entries(redstart)
    .filter(([, value]) => typeof value === 'function' && value.prototype instanceof Error)
    .map(([name]) => name)
    .filter((name) => name !== 'RedstartError');
  const told = rows.flatMap((row) => [...(row.split('|')[2] ?? '').matchAll(/`(\w+)`/g)]);
  expect(new Set(told.map(([, name]) => name))).toEqual(new Set(classes));
});

it('docs/guide/errors.md has every code that an error of redstart carries', () => {
  const source = readFileSync(repository('src/errors.ts'), 'utf8');
  const codes = [...source.matchAll(/super\(\s*'([A-Z_]+)'/g)].map(([, code]) => code as string);
  const told = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)]);
  const listed = told.map(([, code]) => code as string);
  expect(codes.length).toBeGreaterThan(15);
  expect(codes.filter((code) => !listed.includes(code))).toEqual([]);
});
