import * as fc from 'fast-check';
import { DecodeError, EncodeError, defaultCodec } from 'redstart';
import { describe, expect, it } from 'vitest';

/** Through the codec and back, as a frame would carry it. */
function throughCodec(value: unknown): unknown {
  const { body, contentType } = defaultCodec.encode(value);
  return defaultCodec.decode(Buffer.from(body as string), contentType);
}

describe('a value is sent', () => {
  it.each([
    ['null as nothing, without a content type', null, '', undefined],
    ['undefined as nothing, without a content type', undefined, '', undefined],
    ['text as text/plain', 'hé', 'hé', 'text/plain'],
    ['empty text as text/plain', '', '', 'text/plain'],
    ['an object as compact JSON', { a: [1, null] }, '{"a":[1,null]}', 'application/json'],
    ['a number as JSON', 1.5, '1.5', 'application/json'],
    ['a boolean as JSON', false, 'false', 'application/json'],
    ['a date as JSON', new Date(0), '"1970-01-01T00:00:00.000Z"', 'application/json'],
  ])('%s', (_what, value, body, contentType) => {
    const encoded = defaultCodec.encode(value);
    expect(Buffer.from(encoded.body as string).toString()).toBe(body);
    expect(encoded.contentType).toBe(contentType);
  });

  it.each([
    ['a Uint8Array', new Uint8Array([0, 255])],
    ['a Buffer', Buffer.from([0, 255])],
    ['a part of a bigger buffer', Buffer.from([1, 0, 255, 1]).subarray(1, 3)],
  ])('as the bytes that it is, without a content type: %s', (_what, value) => {
    const encoded = defaultCodec.encode(value);
    expect(Buffer.from(encoded.body as Uint8Array)).toEqual(Buffer.from([0, 255]));
    expect(encoded.contentType).toBeUndefined();
  });

  const circular: { self?: unknown } = {};
  circular.self = circular;

  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a bigint', 1n],
    ['an object that contains itself', circular],
    [
      'an object whose toJSON throws',
      {
        toJSON() {
          throw new TypeError('no');
        },
      },
    ],
  ])('never, with an EncodeError, where JSON cannot carry it: %s', (_what, value) => {
    expect(() => defaultCodec.encode(value)).toThrow(EncodeError);
  });
});

describe('a body is read', () => {
  it.each([
    ['as text where it says text/plain', 'hé', 'text/plain', 'hé'],
    ['as text also where the text is JSON', '{"a":1}', 'text/plain', '{"a":1}'],
    ['as empty text where it is that', '', 'text/plain', ''],
    ['as JSON where it says so', '{"a":1}', 'application/json', { a: 1 }],
    ['as JSON with parameters of the type', '[1]', 'application/json; charset=utf-8', [1]],
    ['as JSON null', 'null', 'application/json', null],
    ['as JSON where it says nothing and is JSON', '{"a":1}', undefined, { a: 1 }],
    ['as a number where it says nothing and is one', '123', undefined, 123],
    ['as JSON text where it says nothing and is that', '"a"', undefined, 'a'],
    ['as JSON with white space before it', '\r\n\t {"a":1} ', undefined, { a: 1 }],
    ['as null where it says nothing and is empty', '', undefined, null],
  ])('%s', (_what, body, contentType, expected) => {
    expect(defaultCodec.decode(Buffer.from(body), contentType)).toEqual(expected);
  });

  it.each([
    ['of another type', 'a;b', 'text/csv'],
    ['of another type, though it is JSON', '{"a":1}', 'application/octet-stream'],
    ['whose type is empty, though it is JSON', '{"a":1}', ''],
    ['that says nothing and is not JSON', 'hello', undefined],
    ['that says nothing and is nearly JSON', '{"a":', undefined],
    ['that says nothing and is nearly a word of JSON', 'nul', undefined],
    ['that says nothing and is no UTF-8', '"\xff"', undefined],
  ])('as bytes: %s', (_what, body, contentType) => {
    const bytes = Buffer.from(body, 'latin1');
    const decoded = defaultCodec.decode(bytes, contentType);
    expect(Buffer.isBuffer(decoded)).toBe(true);
    expect(decoded).toEqual(bytes);
  });

  it.each([
    ['JSON', '{"secret-word', 'application/json'],
    ['JSON in UTF-8', '"secret-word\xff"', 'application/json'],
    ['text in UTF-8', 'secret-word\xff', 'text/plain'],
  ])('not at all where it says that it is %s and is not', (_what, body, contentType) => {
    const read = (): unknown => defaultCodec.decode(Buffer.from(body, 'latin1'), contentType);
    expect(read).toThrow(DecodeError);
    // The error may travel to whoever called: it must not carry the body along.
    expect(read).not.toThrow(/secret-word/);
  });
});

describe('a value comes back', () => {
  it('null as null', () => {
    expect(throughCodec(null)).toBeNull();
    expect(throughCodec(undefined)).toBeNull();
  });

  it('as it was, for everything that JSON can carry', () => {
    const value = fc.oneof(fc.jsonValue({ noUnicodeString: false }), fc.string());
    fc.assert(
      fc.property(value, (sent) => {
        const carried: unknown = typeof sent === 'string' ? sent : JSON.parse(JSON.stringify(sent));
        expect(throughCodec(sent)).toEqual(carried);
      }),
      { numRuns: 1_000 },
    );
  });
});
