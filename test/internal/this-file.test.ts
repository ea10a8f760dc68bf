import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { thisFile } from '../../src/internal/this-file.ts';

it('finds the file that it is in, and leaves the stacks of others as they are', () => {
  const before = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace')?.value as unknown;
  expect(thisFile()).toMatch(/src\/internal\/this-file\.ts$/);
  // What it is for: packages are found from there.
  expect(createRequire(thisFile() as string).resolve('croner')).toContain('node_modules');
  expect(Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace')?.value).toBe(before);
  expect(new Error('x').stack).toContain('this-file.test.ts');
});
