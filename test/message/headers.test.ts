import { EncodeError, type Headers } from 'redstart';
import { describe, expect, it } from 'vitest';
import { headerText } from '../../src/message/headers.ts';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

const TOO_LONG = 65_536;

describe('the value of a header', () => {
  it.each([
    ['text', 'é', 'é'],
    ['empty text', '', ''],
    ['a number', 1.5, '1.5'],
    ['a boolean', false, 'false'],
  ])('travels as text: %s', (_what, value, expected) => {
    expect(headerText('x', value)).toBe(expected);
  });
});

onBothBackends('headers of a message', (bench) => {
  it('arrive as text, whatever their script and name', async () => {
    const { broker, name } = bench();
    const list = name();
    const seen: Headers[] = [];
    const service = broker();
    service.subscriber({ list }, (_body, ctx) => {
      seen.push(ctx.message.headers);
    });
    await service.start();
    const headers = JSON.parse('{"__proto__":"p","ключ":"значение","n":1.5,"b":true,"e":"é😀"}');
    await service.publish('hi', { list, headers });
    await eventually(() => seen.length === 1);
    const { correlation_id: id, 'content-type': type, ...others } = seen[0] as Headers;
    expect([typeof id, type]).toEqual(['string', 'text/plain']);
    expect(new Map(Object.entries(others))).toEqual(
      new Map([
        ['__proto__', 'p'],
        ['ключ', 'значение'],
        ['n', '1.5'],
        ['b', 'true'],
        ['e', 'é😀'],
      ]),
    );
  });

  it('may be 65 535 bytes long', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    service.subscriber(channel, (_body, ctx) => ctx.message.headers['long']?.length);
    await service.start();
    const headers = { long: 'x'.repeat(TOO_LONG - 1) };
    const length = await service.publish('', { channel, headers, rpc: true, timeout: 20_000 });
    expect(length).toBe(TOO_LONG - 1);
  });

  it.each([
    ['a value of 65 536 bytes', 'long', 'x'.repeat(TOO_LONG)],
    ['a value of 65 536 bytes in half as many characters', 'long', 'é'.repeat(TOO_LONG / 2)],
    ['null', 'odd', null],
    ['undefined', 'odd', undefined],
    ['an object', 'odd', { a: 1 }],
    ['an array', 'odd', ['a']],
    ['bytes', 'odd', Buffer.from('a')],
    ['a bigint', 'odd', 1n],
    ['a function', 'odd', () => 'a'],
    ['a symbol', 'odd', Symbol('a')],
  ])('are refused before anything is sent: %s', async (_what, header, value) => {
    const { broker, name } = bench();
    const list = name();
    const client = broker();
    const refused = client.publish('refused', { list, headers: { [header]: value as string } });
    await expect(refused).rejects.toBeInstanceOf(EncodeError);
    await expect(refused).rejects.toMatchObject({ code: 'ENCODE' });
    await expect(refused).rejects.toThrow(`'${header}'`);
    // The list's length tells whether the refused message went out after all.
    expect(await client.publish('sent', { list })).toBe(1);
  });

  it('are refused before anything is sent: a name of 65 536 bytes', async () => {
    const { broker, name } = bench();
    const list = name();
    const client = broker();
    const headers = { ['n'.repeat(TOO_LONG)]: 'x' };
    await expect(client.publish('refused', { list, headers })).rejects.toBeInstanceOf(EncodeError);
    expect(await client.publish('sent', { list })).toBe(1);
  });

  it('are refused before anything is sent: more than 65 535 of them', async () => {
    const { broker, name } = bench();
    const list = name();
    const client = broker();
    const headers = Object.fromEntries(Array.from({ length: TOO_LONG }, (_, i) => [`h${i}`, '']));
    await expect(client.publish('refused', { list, headers })).rejects.toBeInstanceOf(EncodeError);
    expect(await client.publish('sent', { list })).toBe(1);
  });

  it('of a batch are refused before any of its messages is sent', async () => {
    const { broker, name } = bench();
    const list = name();
    const client = broker();
    const headers = { long: 'x'.repeat(TOO_LONG) };
    const refused = client.publishBatch(['a', 'b'], { list, headers });
    await expect(refused).rejects.toThrow("'long'");
    expect(await client.publish('sent', { list })).toBe(1);
  });
});
