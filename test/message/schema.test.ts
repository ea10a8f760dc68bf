import type { StandardSchemaV1 } from '@standard-schema/spec';
import { InvalidMessageError } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isSchema, validator } from '../../src/message/schema.ts';

const Order = z.object({
  sku: z.string().transform((sku) => sku.toUpperCase()),
  lines: z.array(z.object({ quantity: z.number().int().positive() })),
});

/** A schema written by hand, for what no library's own does. */
function schema(validate: StandardSchemaV1['~standard']['validate']): StandardSchemaV1 {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

function errorOf(check: () => unknown): InvalidMessageError {
  let thrown: unknown;
  try {
    check();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(InvalidMessageError);
  return thrown as InvalidMessageError;
}

describe('a schema', () => {
  it('gives its output, not the value that came, and no promise where it needs none', () => {
    const validate = validator(Order, 'the body');
    expect(validate({ sku: 'a-1', lines: [{ quantity: 1 }], other: 1 })).toEqual({
      sku: 'A-1',
      lines: [{ quantity: 1 }],
    });
  });

  it('may give undefined, null and false', () => {
    for (const value of [undefined, null, false]) {
      expect(
        validator(
          schema(() => ({ value })),
          'the body',
        )('x'),
      ).toBe(value);
    }
  });

  it('may be asynchronous, to accept and to refuse', async () => {
    const Even = z.number().refine(async (n) => n % 2 === 0, 'must be even');
    const validate = validator(z.object({ n: Even }), 'the body');
    const accepted = validate({ n: 2 });
    expect(accepted).toBeInstanceOf(Promise);
    await expect(accepted).resolves.toEqual({ n: 2 });
    const refused = validate({ n: 3 }) as Promise<unknown>;
    await expect(refused).rejects.toBeInstanceOf(InvalidMessageError);
    await expect(refused).rejects.toMatchObject({
      issues: [{ path: ['n'], message: 'must be even' }],
    });
  });

  it('names the value, every issue and where it is', () => {
    const validate = validator(Order, "the body of list 'orders'");
    const error = errorOf(() => validate({ sku: 1, lines: [{ quantity: 0 }] }));
    expect(error.code).toBe('INVALID_MESSAGE');
    expect(error.issues.map((issue) => issue.path)).toEqual([['sku'], ['lines', 0, 'quantity']]);
    expect(error.message).toContain("the body of list 'orders'");
    expect(error.message).toContain('lines.0.quantity: ');
    for (const issue of error.issues) expect(error.message).toContain(issue.message);
  });

  it('may give paths of keys, of segments and of symbols, or none', () => {
    const issues = [
      { message: 'm1', path: ['a', 0] },
      { message: 'm2', path: [{ key: 'b' }, { key: 1 }, { key: Symbol('s') }] },
      { message: 'm3' },
      { message: 'm4', path: [] },
    ];
    const error = errorOf(() =>
      validator(
        schema(() => ({ issues })),
        'the body',
      )(1),
    );
    expect(error.issues).toEqual([
      { message: 'm1', path: ['a', 0] },
      { message: 'm2', path: ['b', 1, 'Symbol(s)'] },
      { message: 'm3', path: [] },
      { message: 'm4', path: [] },
    ]);
    // It crosses the wire as JSON.
    expect(JSON.parse(JSON.stringify(error.issues))).toEqual(error.issues);
  });

  it('never has the rejected value in its error', () => {
    const secret = 'hunter2-secret';
    const issues = [{ message: 'is wrong', path: ['password'], input: secret, value: secret }];
    const byHand = errorOf(() =>
      validator(
        schema(() => ({ issues })),
        'the body',
      )(secret),
    );
    const Login = z.object({ password: z.email(), pin: z.number(), kind: z.enum(['a', 'b']) });
    const login = { password: secret, pin: secret, kind: secret };
    const byZod = errorOf(() => validator(Login, 'the body')(login));
    expect(byZod.issues).toHaveLength(3);
    for (const error of [byHand, byZod]) {
      expect(`${error.message} ${JSON.stringify(error)} ${error.stack}`).not.toContain(secret);
    }
  });
});

describe('a schema is known by', () => {
  it.each([
    ['an object with a validate', schema((value) => ({ value }))],
    ['one of zod', Order],
    [
      'a function with a validate',
      Object.assign(
        () => 1,
        schema((value) => ({ value })),
      ),
    ],
  ])('Standard Schema: %s', (_what, value) => {
    expect(isSchema(value)).toBe(true);
  });

  it.each([
    ['null', null],
    ['text', 'x'],
    ['a function', Date],
    ['an empty object', {}],
    ['a standard of null', { '~standard': null }],
    ['a standard without validate', { '~standard': { version: 1 } }],
  ])('nothing else: %s', (_what, value) => {
    expect(isSchema(value)).toBe(false);
  });
});
