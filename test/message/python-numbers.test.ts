// Python's json writes NaN and Infinity as they stand, and FastStream sends them so.
import { defaultCodec } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

const JSON_TYPE = 'application/json';
const read = (text: string, type: string | undefined = JSON_TYPE): unknown =>
  defaultCodec.decode(Buffer.from(text), type);

it.each([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
  ['[NaN,-Infinity , Infinity]', [NaN, -Infinity, Infinity]],
  ['{"loss": NaN, "best": -Infinity, "step": 3}', { loss: NaN, best: -Infinity, step: 3 }],
  ['{"NaN": "Infinity", "\\"NaN": ["\\\\", NaN]}', { NaN: 'Infinity', '"NaN': ['\\', NaN] }],
])('%s is read, with a content type and without', (text, value) => {
  expect(read(text)).toEqual(value);
  expect(defaultCodec.decode(Buffer.from(text), undefined)).toEqual(value);
});

it.each([
  '{"a": NaN',
  '"NaN',
  'NaNNaN',
  '{"a": nan}',
  '[--Infinity]',
  '{NaN: 1}',
  '{Infinity: 1}',
  '1Infinity',
  'Infinity5',
  '1NaN',
  '-NaN',
])('%s is still no JSON', (text) => {
  expect(() => read(text)).toThrow(/not the JSON/);
  expect(defaultCodec.decode(Buffer.from(text), undefined)).toEqual(Buffer.from(text));
});

it('a body that is full of quotes and of these words is refused in linear time', () => {
  for (const text of [`NaN ${'"\\"'.repeat(300_000)}`, `NaN${'"\\'.repeat(300_000)}`]) {
    const began = performance.now();
    expect(() => read(text)).toThrow(/not the JSON/);
    expect(performance.now() - began).toBeLessThan(10_000); // quadratic would be hours
  }
});

onBothBackends('a message with NaN', (bench) => {
  it('is handled, from channel, list, stream and batch', async () => {
    const { broker, name } = bench();
    const service = broker({
      codec: {
        ...defaultCodec,
        encode: (body) => ({ body: String(body), contentType: JSON_TYPE }),
      },
    });
    const got: unknown[] = [];
    service.subscriber(name('c'), (body) => void got.push(body));
    service.subscriber({ list: name('l') }, (body) => void got.push(body));
    service.subscriber({ stream: name('s') }, (body) => void got.push(body));
    service.subscriber({ list: name('b'), batch: true }, (bodies) => void got.push(...bodies));
    await service.start();
    for (const to of [
      { channel: name('c') },
      { list: name('l') },
      { stream: name('s') },
      { list: name('b') },
    ])
      await service.publish('{"loss":NaN}', to as { list: string });
    await eventually(() => expect(got).toEqual([1, 2, 3, 4].map(() => ({ loss: NaN }))));
  });
});
