import { RedisBroker, SetupError, event, rpc } from 'redstart';
import { asyncapi, type AsyncApiDocument } from 'redstart/asyncapi';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { expectGolden, rulesBroken } from './asyncapi-rules.ts';
import { broker as everything } from './everything.ts';

const INFO = { title: 'Shop', version: '1.2.3', description: 'Sells *things*.' };

it('a service with everything in it has the document that is written down', async () => {
  const servers = { production: { host: 'redis.example.com:6379', protocol: 'redis' } };
  const document = asyncapi(everything, { info: INFO, servers });
  expect(rulesBroken(document)).toEqual([]);
  await expectGolden(document, 'everything');
  expect(asyncapi(everything, { info: INFO, servers })).toEqual(document);
});

const broker = (): RedisBroker => new RedisBroker('memory://', { logger: false });

/** Of subscribers that were registered in this order. */
const documentOf = (order: readonly string[]): string => {
  const one = broker();
  for (const name of order) one.subscriber({ list: name, title: `On ${name}` }, () => 1);
  return JSON.stringify(asyncapi(one));
};

/** What an error said. */
const refused = (call: () => AsyncApiDocument): string => {
  try {
    call();
  } catch (error) {
    if (error instanceof SetupError) return error.message;
  }
  return 'not refused';
};

it('before start and without a connection, the document is complete, and JSON loses nothing of it', () => {
  const one = new RedisBroker('redis://nowhere.invalid:1', { logger: false });
  one.subscriber({ list: 'orders', title: 'Orders', noReply: true }, () => undefined);
  const document = asyncapi(one);
  expect(JSON.parse(JSON.stringify(document))).toEqual(document);
  expect(document.info).toEqual({ title: 'redstart service', version: '0.0.0' });
  expect(document.channels['orders.list']).toMatchObject({ address: 'orders' });
  expect(document.operations['Orders']).toEqual({
    action: 'receive',
    channel: { $ref: '#/channels/orders.list' },
    title: 'Orders',
    messages: [{ $ref: '#/channels/orders.list/messages/Orders.message' }],
  });
});

it('the order of registration changes nothing', () => {
  const names = ['b', 'a', 'c'];
  expect(documentOf(names.toReversed())).toBe(documentOf(names));
});

it('braces are parameters where a template is received, and part of the name elsewhere', () => {
  const one = broker();
  one.subscriber('logs.{level}.{host}', () => 1);
  one.subscriber({ list: '{user:1}.{user_1}.{user:1}' }, () => 1);
  one.subscriber({ channel: 'raw.{x}', pattern: false }, () => 1);
  one.publisher('logs.{level}.{host}');
  const document = asyncapi(one);
  expect(rulesBroken(document)).toEqual([]);
  const places = Object.values(document.channels).map(({ address, parameters = {} }) => [
    address,
    Object.entries(parameters).map(([name, { enum: values }]: [string, { enum?: unknown }]) => [
      name,
      values,
    ]),
  ]);
  expect(places).toContainEqual([
    'logs.{level}.{host}',
    [
      ['level', undefined],
      ['host', undefined],
    ],
  ]);
  expect(places).toContainEqual([
    '{user_1}.{user_1_2}.{user_1}',
    [
      ['user_1', ['{user:1}']],
      ['user_1_2', ['{user_1}']],
    ],
  ]);
  expect(places).toContainEqual(['raw.{x}', [['x', ['{x}']]]]);
  // The publisher is beside the subscriber of its template.
  expect(places.length).toBe(4);
});

it('definitions become components: the same is one, another of the same name gets a number', () => {
  const Item = z.object({ sku: z.string() }).meta({ id: 'Item' });
  const Other = z.object({ other: z.number() }).meta({ id: 'Item' });
  const one = broker();
  one.subscriber({ list: 'a', schema: z.object({ item: Item }) }, () => 1);
  one.subscriber({ list: 'b', schema: z.object({ item: Item }) }, () => 1);
  one.subscriber({ list: 'c', schema: z.object({ item: Other }) }, () => 1);
  const document = asyncapi(one);
  expect(rulesBroken(document)).toEqual([]);
  const { schemas } = document.components;
  const names = Object.keys(schemas).filter((name) => !name.startsWith('redstart.'));
  expect(names).toEqual(['Item', 'Item_2']);
  const payloadOf = (key: string): unknown =>
    Object.values(document.channels[key]?.messages ?? {}).map(
      ({ payload }) => (payload['properties'] as Record<string, unknown>)['item'],
    );
  expect(payloadOf('a.list')).toEqual([{ $ref: '#/components/schemas/Item' }]);
  expect(payloadOf('b.list')).toEqual(payloadOf('a.list'));
  expect(payloadOf('c.list')).toEqual([{ $ref: '#/components/schemas/Item_2' }]);
  expect(schemas['Item_2']).toMatchObject({ properties: { other: { type: 'number' } } });
});

it('data that looks like a reference stays as it is, and so does a property with the name of a keyword', () => {
  const schema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value: unknown) => ({ value }),
      jsonSchema: {
        input: () => ({
          $schema: 'http://json-schema.org/draft-07/schema#',
          $id: 'https://example.com/thing',
          type: 'object',
          default: { $ref: '#/definitions/A' },
          properties: { default: { $ref: '#/definitions/A' }, self: { $ref: '#' } },
          definitions: { A: { type: 'object', properties: { up: { $ref: '#/properties/self' } } } },
        }),
        output: () => ({}),
      },
    },
  } as const;
  const one = broker();
  one.subscriber({ list: 'a', title: 'A', noReply: true, schema: schema as never }, () => 1);
  const document = asyncapi(one);
  const { schemas } = document.components;
  expect(schemas['A.body']).toEqual({
    type: 'object',
    default: { $ref: '#/definitions/A' },
    properties: {
      default: { $ref: '#/components/schemas/A' },
      self: { $ref: '#/components/schemas/A.body' },
    },
  });
  expect(schemas['A']).toEqual({
    type: 'object',
    properties: { up: { $ref: '#/components/schemas/A.body/properties/self' } },
  });
});

it('a caller and its service in one document have the same messages', () => {
  const price = rpc('price', {
    request: z.string(),
    reply: z.number(),
    errors: { NONE: z.null() },
  });
  const told = event({ stream: 'told' }, { schema: z.object({ text: z.string() }) });
  const service = broker();
  service.subscriber(price, { title: 'Price' }, () => 1);
  service.subscriber(told, { title: 'Told' }, () => undefined);
  const caller = broker();
  caller.clientFor({ price, told });
  const document = asyncapi(service, caller);
  expect(rulesBroken(document)).toEqual([]);
  const { Price, Told, ...sends } = document.operations;
  const [call, tell] = [sends['send.price.channel'], sends['send.told.stream']];
  expect(call).toEqual({ ...Price, action: 'send', title: undefined });
  expect(tell?.messages).toEqual(Told?.messages);
  expect(Price?.reply?.messages?.map(({ $ref }) => $ref.split('/').at(-1))).toEqual([
    'Price.reply',
    'Price.error.NONE',
    'Price.error',
  ]);
});

it('what is no broker and no option is refused with what was expected', () => {
  const one = broker();
  const wrong = (options: unknown): string => refused(() => asyncapi(one, options as never));
  expect(refused(() => asyncapi(...([] as unknown as [RedisBroker])))).toContain(
    'one or more brokers',
  );
  expect(refused(() => asyncapi({} as never))).toContain('one or more brokers');
  expect(wrong(null)).toContain('options must be an object, got null');
  expect(wrong({ title: 'x' })).toContain("no option 'title', only info, servers, version");
  expect(wrong({ info: { title: 'x' } })).toContain("'info' needs a version that is text");
  expect(wrong({ info: { title: '', version: '1' } })).toContain("'info' needs a title");
  expect(wrong({ version: '2.6.0' })).toContain(
    "'version' must be '3.1.0' or '3.0.0', got '2.6.0'",
  );
  expect(asyncapi(one, { version: '3.0.0' })).toEqual({ ...asyncapi(one), asyncapi: '3.0.0' });
  expect(wrong({ servers: { 'a b': {} } })).toContain("got 'a b'");
  expect(wrong({ servers: { a: { host: 'x' } } })).toContain('needs a host and a protocol');
});
