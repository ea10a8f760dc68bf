// Runs before every test file: what nobody asserted must not happen.
import { afterEach, expect } from 'vitest';
import { takeLogs } from './logs.ts';

afterEach(() => {
  // A test that expects log lines takes them with takeLogs(); what is left was not expected.
  expect(takeLogs(), 'log lines that the test did not expect').toEqual([]);
});
