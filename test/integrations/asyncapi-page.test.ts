import { RedisBroker, SetupError, rpc } from 'redstart';
import { asyncapi, asyncapiPage, type AsyncApiPage } from 'redstart/asyncapi';
import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { sampleOf } from '../../src/integrations/asyncapi/sample.ts';

const price = rpc('prices.{currency}', {
  request: z.object({ sku: z.string() }),
  reply: z.object({ cents: z.number(), in: z.string() }),
  errors: { NONE: z.object({ sku: z.string() }) },
});
const rows = rpc('rows', { request: z.number(), reply: z.number(), many: true });

/** A service on a Redis that does not exist. */
function service(): RedisBroker {
  const broker = new RedisBroker('redis://nowhere.invalid:1', { prefix: 'p:', logger: false });
  broker.subscriber(price, { title: '<Price>' }, ({ sku }, ctx) => {
    if (sku === 'none') throw price.error('NONE', { sku });
    return { cents: 1999, in: ctx.path.currency };
  });
  broker.subscriber(rows, { title: 'Rows' }, async function* (count) {
    for (let i = 0; i < count; i++) yield i;
  });
  broker.subscriber({ list: 'orders', title: 'Orders', noReply: true }, async (order, ctx) => {
    if (order === 'bad') throw new RangeError('bad order');
    await ctx.publish(order, 'placed');
  });
  broker.subscriber({ list: 'bytes', title: 'Bytes' }, () => Buffer.from([0, 255]));
  return broker;
}

const page = asyncapiPage(service());

/** A page with try-it. */
function tryable(): AsyncApiPage {
  const one = asyncapiPage(service(), { tryIt: service });
  onTestFinished(() => one.stop());
  return one;
}

const URL = 'http://localhost/deep/down';
const get = (query = '', on = page): Promise<Response> => on(new Request(`${URL}${query}`));
const SAME = { 'sec-fetch-site': 'same-origin' };
const post = (
  body: unknown,
  headers: Record<string, string> = SAME,
  on = tryable(),
): Promise<Response> =>
  on(new Request(URL, { method: 'POST', headers, body: JSON.stringify(body) }));

/** Tries one operation, and resolves with what came of it. */
async function trial(
  operation: string,
  address: string,
  body: unknown,
  on = tryable(),
): Promise<object> {
  const response = await post({ operation, address, body }, SAME, on);
  expect(response.status).toBe(200);
  return (await response.json()) as object;
}

it('is one URL, wherever it is mounted: what it loads is its own, with ?get=', async () => {
  const response = await get();
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const html = await response.text();
  const loaded = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url = '']) => url);
  expect(loaded.filter((url) => !/^(\?get=|data:,$)/.test(url))).toEqual([]);
  expect(loaded).toContain('?get=script');
  expect(await (await get('?get=document')).json()).toEqual(asyncapi(service()));
  expect((await get('?get=script')).headers.get('content-type')).toContain('text/javascript');
  expect((await get('?get=nothing')).status).toBe(404);
  expect((await get('?get=__proto__')).status).toBe(404);
});

it('its policy lets it load from its own server alone', async () => {
  const policy = (await get()).headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("connect-src 'self'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toMatch(/https?:|\*/);
});

it('without the component it is plain HTML, and what comes from the service is text', async () => {
  const html = await (await get()).text();
  expect(html).toContain('Install <code>@asyncapi/react-component</code>');
  expect(html).toContain('&lt;Price&gt;');
  expect(html).not.toContain('<Price>');
  expect(html).toContain('<code>p:prices.{currency}</code>');
  // It has no try-it unless that is wanted.
  expect(html).not.toContain('id="send"');
  expect((await post({}, SAME, page)).status).toBe(405);
  expect((await post({}, SAME, page)).headers.get('allow')).toBe('GET, HEAD');
});

it('shows what is registered later, too', async () => {
  const broker = service();
  const late = asyncapiPage(broker);
  broker.subscriber({ list: 'late', title: 'Late' }, () => 1);
  expect(await (await get('', late)).text()).toContain('Late');
});

it('try-it runs handlers in memory: an answer, a declared error, a body that does not fit', async () => {
  const on = tryable();
  expect(await (await get('', on)).text()).toContain('data-address="p:prices.currency"');
  expect(await trial('_Price_', 'p:prices.eur', { sku: 'A-1' }, on)).toMatchObject({
    outcome: 'answered',
    answer: { cents: 1999, in: 'eur' },
    happened: ["<Price> on channel 'p:prices.{currency}': ok"],
  });
  expect(await trial('_Price_', 'p:prices.eur', { sku: 'none' }, on)).toMatchObject({
    outcome: 'failed',
    error: { name: 'RpcError', code: 'NONE', data: { sku: 'none' } },
  });
  expect(await trial('_Price_', 'p:prices.eur', {}, on)).toMatchObject({
    outcome: 'failed',
    error: { code: 'INVALID_MESSAGE', data: { issues: [{ path: ['sku'] }] } },
  });
  expect(await trial('_Price_', 'p:elsewhere', {}, on)).toMatchObject({
    outcome: 'failed',
    error: { code: 'NO_RESPONDERS' },
  });
});

it('try-it shows a stream of items, bytes, and what a message without an answer has led to', async () => {
  const on = tryable();
  expect(await trial('Rows', 'p:rows', 3, on)).toMatchObject({ answer: [0, 1, 2] });
  expect(await trial('Bytes', 'p:bytes', null, on)).toMatchObject({ answer: { base64: 'AP8=' } });
  expect(await trial('Orders', 'p:orders', 'A-1', on)).toEqual({
    outcome: 'sent',
    happened: expect.arrayContaining([
      "Orders on list 'p:orders': ok",
      "sent to channel 'p:placed'",
    ]),
  });
  expect(await trial('Orders', 'p:orders', 'bad', on)).toEqual({
    outcome: 'sent',
    happened: ["Orders on list 'p:orders': failed: RangeError: bad order"],
  });
});

it('try-it answers only the page itself, and says what is wrong with a trial', async () => {
  const good = { operation: 'Rows', address: 'p:rows', body: 1 };
  const on = tryable();
  const status = async (body: unknown, headers?: Record<string, string>): Promise<number> =>
    (await post(body, headers, on)).status;
  expect(await status(good, {})).toBe(403);
  expect(await status(good, { 'sec-fetch-site': 'cross-site' })).toBe(403);
  expect(await status(good, { 'sec-fetch-site': 'same-site' })).toBe(403);
  expect(await status(good, { origin: 'http://evil.example' })).toBe(403);
  expect(await status(good, { origin: 'null' })).toBe(403);
  expect(await status(good, { origin: 'http://localhost' })).toBe(200);
  expect(await status({ ...good, operation: 'Nothing' })).toBe(404);
  expect(await status({ ...good, operation: 1 })).toBe(400);
  expect(await status({ ...good, address: '' })).toBe(400);
  expect(await status({ ...good, headers: { a: 1 } })).toBe(400);
  expect(await status(null)).toBe(400);
  expect(await status({ ...good, body: 'x'.repeat(1_000_001) })).toBe(400);
  const broken = new Request(URL, { method: 'POST', headers: SAME, body: '{' });
  expect((await on(broken)).status).toBe(400);
});

it('a broker that runs elsewhere is not taken into memory: the trial is told so, the next one begins anew', async () => {
  const running = new RedisBroker('memory://', { logger: false });
  running.subscriber('x', { title: 'X' }, () => 1);
  await running.start();
  onTestFinished(() => running.stop());
  let made = running;
  const on = asyncapiPage(running, { tryIt: () => made });
  onTestFinished(() => on.stop());
  const refused = await post({ operation: 'X', address: 'x', body: 1 }, SAME, on);
  expect(refused.status).toBe(409);
  expect(await refused.text()).toContain('connected already');
  made = new RedisBroker('memory://', { logger: false });
  made.subscriber('x', { title: 'X' }, () => 2);
  expect(await trial('X', 'x', null, on)).toMatchObject({ answer: 2 });
});

it('mistakes are refused', () => {
  expect(() => asyncapiPage(service(), { tryIt: service() as never })).toThrow(SetupError);
  expect(() => asyncapiPage(service(), { nothing: 1 } as never)).toThrow("no option 'nothing'");
  expect(() => asyncapiPage(service(), null as never)).toThrow('options must be an object');
});

const of = (schema: object): unknown =>
  sampleOf(schema as never, {
    Self: { properties: { self: { $ref: '#/components/schemas/Self' } } },
  });

it('a sample is like what the schema takes', () => {
  expect(of({})).toBe(null);
  expect(of({ type: 'object', properties: { a: { type: 'string' }, b: { default: 7 } } })).toEqual({
    a: 'text',
    b: 7,
  });
  expect(of({ type: 'integer', exclusiveMinimum: 0 })).toBe(1);
  expect(of({ type: 'number', minimum: 5 })).toBe(5);
  expect(of({ anyOf: [{ const: 'x' }, { type: 'null' }] })).toBe('x');
  expect(of({ type: 'array', items: { enum: ['a', 'b'] } })).toEqual(['a']);
  expect(
    of({ allOf: [{ properties: { a: { const: 1 } } }, { properties: { b: { const: 2 } } }] }),
  ).toEqual({ a: 1, b: 2 });
  expect(JSON.stringify(of({ $ref: '#/components/schemas/Self' })).length).toBeLessThan(200);
});
