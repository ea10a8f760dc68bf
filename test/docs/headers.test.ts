import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as headers from '../../src/message/headers.ts';
import { repository } from './program.ts';

const page = readFileSync(repository('docs/guide/headers.md'), 'utf8');

describe('docs/guide/headers.md', () => {
  it('has every header that redstart reads or writes', () => {
    const names = Object.values(headers).filter((value) => typeof value === 'string');
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  it('has every value of redstart-status', () => {
    const source = readFileSync(repository('src/rpc/inbox.ts'), 'utf8');
    const [, union = ''] = /export type Status =([^;]*);/.exec(source) ?? [];
    const values = [...union.matchAll(/\| '(\w+)'/g)].map(([, value]) => value as string);
    expect(values.length).toBeGreaterThan(8);
    expect(values.filter((value) => !page.includes(`\`${value}\``))).toEqual([]);
  });
});
