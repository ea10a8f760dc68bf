// Runs before every test file: a test fails if it logs lines that it does not expect.
import { afterEach, expect } from 'vitest';
import { takeLogs } from './logs.ts';

afterEach(() => {
  // A test takes the lines that it expects with takeLogs(); the others were not expected.
  expect(takeLogs(), 'log lines that the test did not expect').toEqual([]);
});
